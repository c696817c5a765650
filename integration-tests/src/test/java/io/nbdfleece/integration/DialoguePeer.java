// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Assumptions;

/// Who plays a dialogue. Its roles choose the steps: those of QEMU differ by program and version.
enum DialoguePeer {
  /// The packaged program.
  NBDFLEECE("nbdfleece") {
    @Override
    Running start(Path directory, List<Dialogue.Disk> disks) throws IOException {
      PackagedServer.Setup setup = PackagedServer.in(directory);
      for (Dialogue.Disk disk : disks) {
        setup = setup.disk(disk.name(), image(directory, disk));
      }
      PackagedServer server = setup.start();
      return new Running(server.controlPath(), server::close);
    }
  },

  /// The system's `qemu-storage-daemon`.
  STORAGE_DAEMON("qemu storage-daemon storage-daemon-7") {
    @Override
    Running start(Path directory, List<Dialogue.Disk> disks) throws IOException {
      return storageDaemon(Peer.QEMU_STORAGE_DAEMON.path(), directory, disks);
    }
  },

  /// That of Debian 13, when it is there.
  STORAGE_DAEMON_10("qemu storage-daemon storage-daemon-10") {
    @Override
    Running start(Path directory, List<Dialogue.Disk> disks) throws IOException {
      return storageDaemon(NewerPeers.program("qemu-storage-daemon"), directory, disks);
    }
  },

  /// A virtual machine that never runs: the only one that has devices. Not required, for it is a
  /// large package: `apt-get install qemu-system-x86`.
  VM("qemu vm") {
    @Override
    Running start(Path directory, List<Dialogue.Disk> disks) throws IOException {
      Optional<String> program = Peer.find("qemu-system-x86_64");
      Assumptions.assumeTrue(program.isPresent(), "qemu-system-x86_64 not found");
      Path control = directory.resolve("qmp.sock");
      List<String> command = new ArrayList<>();
      command.add(program.orElseThrow());
      command.addAll(List.of("-M", "q35", "-accel", "tcg", "-S", "-nodefaults"));
      command.addAll(List.of("-display", "none", "-name", "nbdfleece"));
      command.addAll(List.of("-qmp", "unix:" + control + ",server=on,wait=off"));
      for (Dialogue.Disk disk : disks) {
        String name = disk.name();
        command.addAll(
            List.of(
                "-blockdev",
                "driver=file,node-name=" + name + "-file,filename=" + image(directory, disk),
                "-blockdev",
                "driver=raw,node-name=" + name + ",file=" + name + "-file",
                "-device",
                "virtio-blk-pci,romfile=,drive=" + name + ",id=" + name));
      }
      return new Running(control, new PeerDaemon(command, control)::close);
    }
  };

  private final String roles;

  DialoguePeer(String roles) {
    this.roles = roles;
  }

  Set<String> roles() {
    return Set.of(roles.split(" "));
  }

  /// Starts it with these disks, whose images are in the directory. Skips the test when the program
  /// is not there.
  abstract Running start(Path directory, List<Dialogue.Disk> disks) throws IOException;

  private static Path image(Path directory, Dialogue.Disk disk) {
    return directory.resolve(disk.name() + ".img");
  }

  private static Running storageDaemon(String program, Path directory, List<Dialogue.Disk> disks)
      throws IOException {
    Path control = directory.resolve("qmp.sock");
    List<String> command = new ArrayList<>();
    command.add(program);
    command.addAll(List.of("--chardev", "socket,id=qmp,server=on,wait=off,path=" + control));
    command.addAll(List.of("--monitor", "chardev=qmp"));
    for (Dialogue.Disk disk : disks) {
      String options = "driver=file,node-name=" + disk.name() + ",filename=";
      command.addAll(List.of("--blockdev", options + image(directory, disk)));
    }
    return new Running(control, new PeerDaemon(command, control)::close);
  }

  /// A process of it.
  ///
  /// @param control its QMP socket
  /// @param end ends the process, if it has not ended by itself
  record Running(Path control, Runnable end) implements AutoCloseable {
    @Override
    public void close() {
      end.run();
    }
  }
}
