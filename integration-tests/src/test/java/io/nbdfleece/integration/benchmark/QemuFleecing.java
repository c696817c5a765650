// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// qemu-storage-daemon with copy-before-write into a fresh fleecing image and snapshot-access, as
/// QEMU's backup interfaces are meant to be used. Started for each turn, which is the simple way to
/// a fresh snapshot.
final class QemuFleecing implements Subject {
  /// How its names begin.
  static final String NAME = "qsd fleecing";

  /// What the fleecing image is.
  enum Format {
    RAW,
    QCOW2;

    String title() {
      return switch (this) {
        case RAW -> "raw";
        case QCOW2 -> "qcow2";
      };
    }
  }

  private final PeerPrograms programs;
  private final Workplace place;
  private final Path image;
  private final Format format;
  private final Path target;
  private final Address address;
  private final String name;
  private Optional<Daemon> daemon = Optional.empty();

  /// @param scratch where the fleecing image goes
  QemuFleecing(PeerPrograms programs, Workplace place, Path image, Format format, Path scratch)
      throws IOException, InterruptedException {
    this.programs = programs;
    this.place = place;
    this.image = image;
    this.format = format;
    target = scratch.resolve("fleecing." + format.title());
    address = Address.unix(place.resolve("qsd-" + format.title() + ".sock"));
    name = NAME + " " + format.title() + " " + programs.version(QemuDaemon.PROGRAM);
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public void begin() throws IOException, InterruptedException {
    end();
    Files.deleteIfExists(target);
    String _ =
        Tool.run(
            List.of(
                programs.path("qemu-img"),
                "create",
                "-q",
                "-f",
                format.title(),
                target.toString(),
                Long.toString(Files.size(image))));
    String targetNode =
        switch (format) {
          case RAW -> "driver=file,node-name=target,discard=unmap,filename=" + target;
          case QCOW2 ->
              "driver=qcow2,node-name=target,discard=unmap,file.driver=file,file.filename="
                  + target;
        };
    List<String> command = new ArrayList<>();
    command.add(programs.path(QemuDaemon.PROGRAM));
    command.addAll(List.of("--blockdev", "driver=file,node-name=disk,filename=" + image));
    command.addAll(List.of("--blockdev", targetNode));
    command.addAll(
        List.of(
            "--blockdev",
            "driver=copy-before-write,node-name=cbw,file=disk,target=target,"
                + "on-cbw-error=break-snapshot",
            "--blockdev",
            "driver=snapshot-access,node-name=snapshot,file=cbw"));
    command.addAll(QemuDaemon.server(address));
    command.addAll(QemuDaemon.export("vda", "cbw", "on"));
    command.addAll(QemuDaemon.export("snapshot", "snapshot", "off"));
    daemon = Optional.of(Daemon.start(command, place, address, place.resolve("qsd-fleecing.log")));
  }

  @Override
  public String diskUri() {
    return address.uri("vda");
  }

  @Override
  public String pullUri() {
    return address.uri("snapshot");
  }

  @Override
  public void end() throws IOException, InterruptedException {
    if (daemon.isPresent()) {
      daemon.get().stop();
      daemon = Optional.empty();
      Files.deleteIfExists(target);
    }
  }

  @Override
  public void stop() throws IOException, InterruptedException {
    end();
  }

  @Override
  public Optional<Path> image() {
    return Optional.of(image);
  }

  @Override
  public Daemon daemon() {
    return daemon.orElseThrow();
  }
}
