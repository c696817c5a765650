// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.nbd.ClientIdentity;
import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.ContextExtents;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportCatalog;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.Extent;
import io.nbdfleece.nbd.NbdError;
import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.StatusCompletion;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicLong;

/// A read-only image in an array, named `vda@nightly`; 64 KiB blocks that are all zero are holes.
/// From `failFromBytes` on reads fail; from `holdFromBytes` on they wait for [#release].
final class ImageExport implements Export, ExportCatalog {
  private static final int BLOCK_BYTES = 64 << 10;

  final AtomicLong readBytes = new AtomicLong();
  volatile long failFromBytes = Long.MAX_VALUE;
  volatile long holdFromBytes = Long.MAX_VALUE;
  volatile String failure = "";
  volatile String description = "";
  private final CompletableFuture<Void> released = new CompletableFuture<>();
  private final byte[] image;
  private final List<String> contexts;

  ImageExport(byte[] image, List<String> contexts) {
    this.image = image;
    this.contexts = contexts;
  }

  @Override
  public Optional<Export> find(String name, ClientIdentity client) {
    return name.equals("vda@nightly") ? Optional.of(this) : Optional.empty();
  }

  @Override
  public List<String> names(ClientIdentity client) {
    return List.of("vda@nightly");
  }

  @Override
  public ExportInfo info() {
    return new ExportInfo(
        image.length, description, Set.of(ExportInfo.Ability.MULTI_CONN), BLOCK_BYTES, contexts);
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    if (offsetBytes + target.remaining() > failFromBytes) {
      done.failed(new NbdException(NbdError.EIO, failure));
      return;
    }
    if (offsetBytes + target.remaining() > holdFromBytes && !released.isDone()) {
      var _ = released.thenRun(() -> copy(offsetBytes, target, done));
    } else {
      copy(offsetBytes, target, done);
    }
  }

  private void copy(long offsetBytes, ByteBuffer target, Completion done) {
    readBytes.addAndGet(target.remaining());
    target.put(image, (int) offsetBytes, target.remaining());
    done.succeeded();
  }

  /// Lets the reads go that wait, and all later ones.
  void release() {
    released.complete(null);
  }

  @Override
  public void blockStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> asked,
      int extentsMax,
      StatusCompletion done) {
    List<Extent> extents = new ArrayList<>();
    long at = offsetBytes;
    // Never more than a few, so that the client has to ask again.
    while (at < offsetBytes + lengthBytes && extents.size() < Math.min(3, extentsMax)) {
      long end = Math.min((at / BLOCK_BYTES + 1) * BLOCK_BYTES, image.length);
      boolean zero = true;
      for (long i = at / BLOCK_BYTES * BLOCK_BYTES; i < end; i++) {
        zero &= image[(int) i] == 0;
      }
      extents.add(new Extent(end - at, zero ? Extent.HOLE | Extent.ZERO : 0));
      at = end;
    }
    done.succeeded(asked.stream().map(name -> new ContextExtents(name, extents)).toList());
  }

  @Override
  public void write(long offsetBytes, ByteBuffer data, Durability durability, Completion done) {
    done.failed(new NbdException(NbdError.EPERM, "read-only"));
  }

  @Override
  public void trim(long offsetBytes, long lengthBytes, Durability durability, Completion done) {
    done.failed(new NbdException(NbdError.EPERM, "read-only"));
  }

  @Override
  public void writeZeroes(
      long offsetBytes, long lengthBytes, Zeroing zeroing, Durability durability, Completion done) {
    done.failed(new NbdException(NbdError.EPERM, "read-only"));
  }

  @Override
  public void flush(Completion done) {
    done.succeeded();
  }

  @Override
  public void cache(long offsetBytes, long lengthBytes, Completion done) {
    done.succeeded();
  }
}
