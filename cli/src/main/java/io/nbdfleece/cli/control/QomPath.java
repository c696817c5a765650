// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.fleecing.graph.BlockGraph;
import java.util.List;
import java.util.Optional;

/// What is at a path of QEMU's object model: guests' devices (`/machine/peripheral/vda`, or just
/// `vda`; a last `/virtio-backend` means the same), throttle groups (`/objects/tg`, or just `tg`),
/// and the containers above them.
sealed interface QomPath {
  String PERIPHERAL = "/machine/peripheral";
  String OBJECTS = "/objects";
  String BACKEND = "/virtio-backend";

  record Device(String name) implements QomPath {}

  record Group(String name) implements QomPath {}

  /// @param children names and what they are
  record Container(List<Child> children) implements QomPath {}

  record Child(String name, String type) {}

  /// Fails with QEMU's text when there is nothing.
  static QomPath resolve(String path, BlockGraph graph) throws QmpException {
    Optional<QomPath> found =
        switch (path) {
          case "", "/" ->
              Optional.of(
                  new Container(
                      List.of(
                          new Child("machine", "child<container>"),
                          new Child("objects", "child<container>"))));
          case "/machine" ->
              Optional.of(new Container(List.of(new Child("peripheral", "child<container>"))));
          case PERIPHERAL -> Optional.of(new Container(all(graph.devices(), "nbdfleece-disk")));
          case OBJECTS -> Optional.of(new Container(all(graph.throttleGroups(), "throttle-group")));
          default -> named(path, graph);
        };
    return found.orElseThrow(
        () ->
            new QmpException(
                QmpException.ErrorClass.DEVICE_NOT_FOUND,
                "Device '" + path + "' not found",
                ExitCode.NOT_FOUND));
  }

  private static List<Child> all(List<String> names, String type) {
    return names.stream().map(name -> new Child(name, "child<" + type + ">")).toList();
  }

  private static Optional<QomPath> named(String path, BlockGraph graph) {
    String whole =
        path.endsWith(BACKEND) ? path.substring(0, path.length() - BACKEND.length()) : path;
    int slash = whole.lastIndexOf('/');
    String parent = slash < 0 ? "" : whole.substring(0, slash);
    String name = whole.substring(slash + 1);
    if ((slash < 0 || parent.equals(PERIPHERAL)) && graph.devices().contains(name)) {
      return Optional.of(new Device(name));
    }
    if ((slash < 0 || parent.equals(OBJECTS)) && graph.throttleGroups().contains(name)) {
      return Optional.of(new Group(name));
    }
    return Optional.empty();
  }

  /// The name of a device, given by its name or path.
  static String device(String path, BlockGraph graph) throws QmpException {
    return resolve(path, graph) instanceof Device(String name) ? name : path;
  }
}
