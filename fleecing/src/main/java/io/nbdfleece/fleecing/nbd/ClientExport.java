// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportClient;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.StatusCompletion;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/// An export as one connection has it: tells who comes and who leaves, and passes the rest on.
final class ClientExport implements Export {
  private final Export export;
  private final Predicate<ExportClient> entered;
  private final Consumer<ExportClient> left;
  private volatile @Nullable ExportClient client;

  /// @param entered whether the client is let in; the others are sent away, and nothing is heard of
  ///   them again
  ClientExport(Export export, Predicate<ExportClient> entered, Consumer<ExportClient> left) {
    this.export = export;
    this.entered = entered;
    this.left = left;
  }

  @Override
  public ExportInfo info() {
    return export.info();
  }

  @Override
  public void connected(ExportClient who) {
    if (entered.test(who)) {
      client = who;
      export.connected(who);
    } else {
      who.disconnect();
    }
  }

  @Override
  public void disconnected() {
    ExportClient who = client;
    if (who != null) {
      export.disconnected();
      left.accept(who);
    }
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    export.read(offsetBytes, target, done);
  }

  @Override
  public void write(long offsetBytes, ByteBuffer data, Durability durability, Completion done) {
    export.write(offsetBytes, data, durability, done);
  }

  @Override
  public void trim(long offsetBytes, long lengthBytes, Durability durability, Completion done) {
    export.trim(offsetBytes, lengthBytes, durability, done);
  }

  @Override
  public void writeZeroes(
      long offsetBytes, long lengthBytes, Zeroing zeroing, Durability durability, Completion done) {
    export.writeZeroes(offsetBytes, lengthBytes, zeroing, durability, done);
  }

  @Override
  public void flush(Completion done) {
    export.flush(done);
  }

  @Override
  public void cache(long offsetBytes, long lengthBytes, Completion done) {
    export.cache(offsetBytes, lengthBytes, done);
  }

  @Override
  public void blockStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> contexts,
      int extentsMax,
      StatusCompletion done) {
    export.blockStatus(offsetBytes, lengthBytes, contexts, extentsMax, done);
  }
}
