// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.graph.BlockGraph.Target;
import io.nbdfleece.fleecing.nbd.NamedExport.Source;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// What commands mean by the names of nodes and devices; the errors are QEMU's.
final class NodeName {
  private NodeName() {}

  /// Whose bitmaps are meant.
  static String owner(String node, ControlTarget target) throws QmpException {
    return target.bitmapOwner(node).orElseThrow(() -> notFound("Node '" + node + "' not found"));
  }

  /// The same for commands that take a device's name too.
  static String ownerByDevice(String device, ControlTarget target) throws QmpException {
    return target
        .bitmapOwner(device)
        .orElseThrow(
            () -> notFound("Cannot find device='" + device + "' nor node-name='" + device + "'"));
  }

  /// What an export of it shows.
  static Source sourceOf(String node, ControlTarget target) throws QmpException {
    Target found =
        target
            .find(node)
            .orElseThrow(() -> notFound("Cannot find device='' nor node-name='" + node + "'"));
    return switch (found) {
      case Target.LiveDisk live -> new Source.LiveDisk(live.disk());
      case Target.FrozenDisk frozen -> new Source.FrozenDisk(frozen.snapshot(), frozen.disk());
    };
  }

  /// QEMU's `BlockDirtyBitmapOrStr`: a name alone is that of a bitmap of `owner`.
  static List<BitmapRef> bitmaps(List<JsonNode> elements, String owner, ControlTarget target)
      throws QmpException {
    List<BitmapRef> bitmaps = new ArrayList<>();
    for (JsonNode element : elements) {
      bitmaps.add(
          element.isString()
              ? new BitmapRef(owner, element.stringValue())
              : new BitmapRef(
                  owner(element.path("node").stringValue(), target),
                  element.path("name").stringValue()));
    }
    return bitmaps;
  }

  /// The same for an export of a node: what a view has no bitmap of is one of its disk, or the one
  /// that came with the snapshot.
  static List<BitmapRef> shownBitmaps(List<JsonNode> elements, String node, ControlTarget target)
      throws IOException {
    List<BitmapRef> shown = new ArrayList<>();
    for (BitmapRef bitmap : bitmaps(elements, owner(node, target), target)) {
      String disk =
          switch (sourceOf(bitmap.owner(), target)) {
            case Source.LiveDisk live -> live.disk();
            case Source.FrozenDisk frozen -> frozen.disk();
          };
      boolean isViews = !disk.equals(bitmap.owner()) && hasBitmap(bitmap, target);
      shown.add(isViews ? bitmap : new BitmapRef(disk, bitmap.name()));
    }
    return shown;
  }

  private static boolean hasBitmap(BitmapRef bitmap, ControlTarget target) throws IOException {
    return target.bitmaps(bitmap.owner()).stream()
        .anyMatch(known -> known.name().equals(bitmap.name()));
  }

  private static QmpException notFound(String message) {
    return QmpException.generic(message, ExitCode.NOT_FOUND);
  }
}
