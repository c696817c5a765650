// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import io.nbdfleece.nbd.Completion;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.StatusCompletion;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;

/// An export of another NBD server, over as many connections as it allows, which are made again
/// when they break. Being an [Export] it can be served as it is, or be the disk below a filter.
///
/// `info` says what the server said: abilities, block sizes, and all metadata contexts it lists. A
/// server that comes back with another size or fewer abilities is not the one that went away: all
/// requests fail from then on.
public final class RemoteExport implements Export, AutoCloseable {
  private RemoteExport() {}

  /// Connects. Waits; the message of the exception names the URI and what to do.
  public static RemoteExport open(NbdUri uri, RemoteOptions options, ClientOptions client)
      throws IOException {
    throw new IOException(uri + ": not there yet " + options + client);
  }

  @Override
  public ExportInfo info() {
    throw new IllegalStateException();
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    throw new IllegalStateException();
  }

  @Override
  public void write(long offsetBytes, ByteBuffer data, Durability durability, Completion done) {
    throw new IllegalStateException();
  }

  @Override
  public void trim(long offsetBytes, long lengthBytes, Durability durability, Completion done) {
    throw new IllegalStateException();
  }

  @Override
  public void writeZeroes(
      long offsetBytes, long lengthBytes, Zeroing zeroing, Durability durability, Completion done) {
    throw new IllegalStateException();
  }

  @Override
  public void flush(Completion done) {
    throw new IllegalStateException();
  }

  @Override
  public void cache(long offsetBytes, long lengthBytes, Completion done) {
    throw new IllegalStateException();
  }

  @Override
  public void blockStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> contexts,
      int extentsMax,
      StatusCompletion done) {
    throw new IllegalStateException();
  }

  /// Lets go of the server, after what is in flight.
  @Override
  public void close() {}
}
