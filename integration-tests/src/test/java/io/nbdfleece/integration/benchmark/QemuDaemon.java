// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration.benchmark;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// qemu-storage-daemon: plain, one for all measurements; or with copy-before-write into a fresh raw
/// file and snapshot-access, as QEMU's backup interfaces are meant to be used, started for each.
final class QemuDaemon implements Subject {
  private final Path place;
  private final Path image;
  private final boolean copyBeforeWrite;
  private Optional<Process> process = Optional.empty();

  private QemuDaemon(Path place, Path image, boolean copyBeforeWrite) {
    this.place = place;
    this.image = image;
    this.copyBeforeWrite = copyBeforeWrite;
  }

  static QemuDaemon plain(Path place, Path image) {
    return new QemuDaemon(place, image, false);
  }

  static Subject withCopyBeforeWrite(Path place, Path image) {
    return new QemuDaemon(place, image, true);
  }

  @Override
  public String name() {
    return copyBeforeWrite ? "QEMU+snapshot" : "QEMU";
  }

  @Override
  public void begin() throws IOException, InterruptedException {
    if (process.isPresent()) {
      return;
    }
    List<String> command = new ArrayList<>();
    command.add("qemu-storage-daemon");
    command.addAll(List.of("--blockdev", "driver=file,node-name=disk,filename=" + image));
    if (copyBeforeWrite) {
      try (RandomAccessFile target = new RandomAccessFile(target().toFile(), "rw")) {
        target.setLength(0);
        target.setLength(Files.size(image));
      }
      command.addAll(
          List.of(
              "--blockdev",
              "driver=file,node-name=target,discard=unmap,filename=" + target(),
              "--blockdev",
              "driver=copy-before-write,node-name=cbw,file=disk,target=target,"
                  + "on-cbw-error=break-snapshot",
              "--blockdev",
              "driver=snapshot-access,node-name=snapshot,file=cbw"));
    }
    command.addAll(List.of("--nbd-server", "addr.type=unix,addr.path=" + socket()));
    command.addAll(export("vda", copyBeforeWrite ? "cbw" : "disk", "on"));
    if (copyBeforeWrite) {
      command.addAll(export("snapshot", "snapshot", "off"));
    }
    Files.deleteIfExists(control());
    command.addAll(List.of("--chardev", "socket,id=qmp,server=on,wait=off,path=" + control()));
    command.addAll(List.of("--monitor", "chardev=qmp"));
    Files.deleteIfExists(ready());
    command.addAll(List.of("--pidfile", ready().toString()));
    process = Optional.of(Tool.serve(command, ready(), place.resolve(name() + ".log")));
  }

  @Override
  public String diskUri() {
    return "nbd+unix:///vda?socket=" + socket();
  }

  @Override
  public String pullUri() {
    return "nbd+unix:///" + (copyBeforeWrite ? "snapshot" : "vda") + "?socket=" + socket();
  }

  @Override
  public void end() throws IOException, InterruptedException {
    if (copyBeforeWrite) {
      stop();
    }
  }

  @Override
  public void stop() throws IOException, InterruptedException {
    if (process.isPresent()) {
      Tool.stop(process.get());
      process = Optional.empty();
      Files.deleteIfExists(socket());
      Files.deleteIfExists(target());
    }
  }

  private static List<String> export(String name, String node, String writable) {
    return List.of(
        "--export",
        "type=nbd,id=" + name + ",node-name=" + node + ",name=" + name + ",writable=" + writable);
  }

  private Path socket() {
    return place.resolve(name() + ".sock");
  }

  /// Its QMP socket.
  Path control() {
    return place.resolve(name() + ".qmp.sock");
  }

  /// The process, once it has been begun.
  Process process() {
    return process.orElseThrow();
  }

  private Path ready() {
    return place.resolve(name() + ".pid");
  }

  private Path target() {
    return place.resolve("qemu-target.img");
  }
}
