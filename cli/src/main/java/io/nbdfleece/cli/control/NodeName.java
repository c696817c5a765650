// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.graph.BlockGraph.Target;
import io.nbdfleece.fleecing.nbd.NamedExport.Source;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/// What commands mean by the names of nodes and devices; the errors are QEMU's.
final class NodeName {
  private NodeName() {}

  /// The disk whose bitmaps are meant.
  static String diskOf(String node, ControlTarget target) throws QmpException {
    return disk(node, target.find(node), "Node '" + node + "' not found");
  }

  /// The same for commands that take a device's name too.
  static String diskOfDevice(String device, ControlTarget target) throws QmpException {
    return disk(
        device,
        target.find(device),
        "Cannot find device='" + device + "' nor node-name='" + device + "'");
  }

  private static String disk(String name, Optional<Target> found, String missing)
      throws QmpException {
    return switch (found.orElseThrow(() -> notFound(missing))) {
      case Target.LiveDisk live -> live.disk();
      case Target.FrozenDisk frozen ->
          throw QmpException.generic(
              "Node '"
                  + name
                  + "' shows snapshot "
                  + frozen.snapshot()
                  + ", which has no bitmaps of its own: name its disk, "
                  + frozen.disk());
    };
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

  /// QEMU's `BlockDirtyBitmapOrStr`: a name alone is that of a bitmap of `disk`; bitmaps of a view
  /// are those of the disk that it was taken of.
  static List<BitmapRef> bitmaps(List<JsonNode> elements, String disk, ControlTarget target)
      throws QmpException {
    List<BitmapRef> bitmaps = new ArrayList<>();
    for (JsonNode element : elements) {
      if (element.isString()) {
        bitmaps.add(new BitmapRef(disk, element.stringValue()));
      } else {
        String node = element.path("node").stringValue();
        Target found =
            target.find(node).orElseThrow(() -> notFound("Node '" + node + "' not found"));
        String owner =
            switch (found) {
              case Target.LiveDisk live -> live.disk();
              case Target.FrozenDisk frozen -> frozen.disk();
            };
        bitmaps.add(new BitmapRef(owner, element.path("name").stringValue()));
      }
    }
    return bitmaps;
  }

  private static QmpException notFound(String message) {
    return QmpException.generic(message, ExitCode.NOT_FOUND);
  }
}
