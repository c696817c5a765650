// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.pull;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.map.ExtentWalk;
import io.nbdfleece.cli.remote.RemoteServer;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.ClientOptions;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.util.List;
import java.util.Optional;

/// What of an export has changed, as a dirty bitmap beside it tells.
///
/// @param bitmap NAME in `qemu:dirty-bitmap:NAME`
/// @param clean what has not changed
/// @param info what the server said of the export
record DirtyRanges(String bitmap, DoneRanges clean, ExportInfo info) {
  private static final String CONTEXTS = "qemu:dirty-bitmap:";
  private static final long DIRTY = 1;
  // 90 bytes of heap each; at 64 KiB a granule 256 GiB of which every second one has changed.
  private static final int RANGES_MAX = 1 << 21;

  /// Asks the server, on a connection of its own that ends before others begin: QEMU breaks the
  /// protocol when it is asked about a bitmap and about allocation at once, and qemu-nbd keeps
  /// clients waiting that are too many.
  ///
  /// @param name without one the export must have exactly one bitmap
  static DirtyRanges ask(NbdUri uri, Optional<String> name) throws IOException {
    List<String> wanted = List.of(CONTEXTS + name.orElse(""));
    try (NbdClient client =
        RemoteServer.connect(uri, ClientOptions.defaults().withContexts(wanted))) {
      String context = context(uri, name, client.info().metaContexts());
      DoneRanges clean = new DoneRanges();
      new ExtentWalk(client, context, (offset, length, type) -> add(clean, offset, length, type))
          .run();
      return new DirtyRanges(context.substring(CONTEXTS.length()), clean, client.info());
    }
  }

  /// Fails when an export is not the one that was asked about.
  void checkStill(NbdUri uri, ExportInfo now) throws CommandFailure {
    if (now.sizeBytes() != info.sizeBytes() || !now.description().equals(info.description())) {
      throw new CommandFailure(
          ExitCode.FAILED, uri + ": the export was replaced meanwhile: pull again");
    }
  }

  private static void add(DoneRanges clean, long offsetBytes, long lengthBytes, long type)
      throws CommandFailure {
    if ((type & DIRTY) != 0) {
      return;
    }
    if (clean.count() == RANGES_MAX) {
      throw new CommandFailure(
          ExitCode.FAILED,
          "the changes are in more than "
              + RANGES_MAX
              + " places: pull all of it, without --since");
    }
    clean.add(new ByteRange(offsetBytes, lengthBytes));
  }

  private static String context(NbdUri uri, Optional<String> name, List<String> offered)
      throws CommandFailure {
    List<String> bitmaps =
        offered.stream()
            .filter(context -> context.startsWith(CONTEXTS))
            .filter(context -> name.isEmpty() || context.equals(CONTEXTS + name.get()))
            .toList();
    if (bitmaps.isEmpty()) {
      throw new CommandFailure(
          ExitCode.NOT_FOUND,
          uri
              + ": the export has no dirty bitmap"
              + name.map(n -> " \"" + ShownNames.of(n) + "\"").orElse("")
              + ": take the snapshot with --since CHECKPOINT, or pull all of it without --since");
    }
    if (bitmaps.size() > 1) {
      throw new CommandFailure(
          ExitCode.USAGE,
          uri
              + ": the export has several dirty bitmaps, "
              + ShownNames.list(bitmaps.stream().map(b -> b.substring(CONTEXTS.length())).toList())
              + ": name one with --since NAME");
    }
    return bitmaps.getFirst();
  }
}
