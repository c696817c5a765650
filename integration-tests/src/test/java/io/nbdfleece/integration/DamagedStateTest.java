// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/// Whatever happens to the files of the state directory, the disk is served, and no backup is taken
/// since a checkpoint of which something is not known.
@Timeout(value = 5, unit = TimeUnit.MINUTES)
final class DamagedStateTest {
  private static final int DISK_BYTES = 1 << 20;

  // Exit codes, as the README has them.
  private static final int FULL_BACKUP_NEEDED = 4;
  private static final int NOT_FOUND = 10;
  private static final int BUSY = 11;

  @TempDir Path directory;

  /// What is left of a file.
  private enum Damage {
    HALF {
      @Override
      byte[] of(byte[] file) {
        return Arrays.copyOf(file, file.length / 2);
      }
    },
    ZEROES {
      @Override
      byte[] of(byte[] file) {
        return new byte[file.length];
      }
    },
    ONE_BIT {
      @Override
      byte[] of(byte[] file) {
        file[file.length / 2] ^= 4;
        return file;
      }
    };

    abstract byte[] of(byte[] file);
  }

  private PackagedServer.Setup setup() {
    return PackagedServer.in(directory)
        .jvm("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
        .disk("vda", directory.resolve("vda.img"))
        .with("--state", directory.resolve("state").toString(), "--ram", "4M");
  }

  /// Two checkpoints: the stretch of the first is a sealed set, that of the second records.
  private void makeCheckpoints() throws IOException {
    Path _ = Images.sparse(directory.resolve("vda.img"), DISK_BYTES);
    try (PackagedServer server = setup().start();
        NbdClient guest = server.connect("vda")) {
      for (int i = 1; i <= 2; i++) {
        JsonNode _ = server.snapshot("s" + i, "checkpoint", "c" + i);
        try (ControlSocket control = server.control()) {
          JsonNode _ =
              control.execute(
                  "fleecing-stop",
                  ControlSocket.object().put("name", "s" + i).put("success", true));
        }
        Images.write(guest, i * 100_000L, Images.filled(5000, i));
      }
    }
  }

  /// What the state directory holds of the disk, by name.
  private Map<String, byte[]> files() throws IOException {
    Map<String, byte[]> files = new TreeMap<>();
    try (Stream<Path> all = Files.list(directory.resolve("state/vda"))) {
      for (Path file : all.toList()) {
        files.put(String.valueOf(file.getFileName()), Files.readAllBytes(file));
      }
    }
    return files;
  }

  private void put(Map<String, byte[]> files) throws IOException {
    Path folder = directory.resolve("state/vda");
    for (String name : files().keySet()) {
      Files.delete(folder.resolve(name));
    }
    for (Map.Entry<String, byte[]> file : files.entrySet()) {
      Files.write(folder.resolve(file.getKey()), file.getValue());
    }
  }

  private static List<String> inconsistent(PackagedServer server) throws IOException {
    List<String> names = new ArrayList<>();
    try (ControlSocket control = server.control()) {
      for (JsonNode node : control.execute("query-named-block-nodes", ControlSocket.object())) {
        for (JsonNode bitmap : node.path("dirty-bitmaps")) {
          if (bitmap.path("inconsistent").asBoolean(false)) {
            names.add(bitmap.path("name").asString());
          }
        }
      }
    }
    return names;
  }

  /// Damages a file in each way, and looks what a server makes of it.
  private void damage(String suffix, List<String> lost, String since, int exitCode)
      throws IOException {
    makeCheckpoints();
    Map<String, byte[]> intact = files();
    Path image = directory.resolve("vda.img");
    FileTime changed = Files.getLastModifiedTime(image);
    for (Damage damage : Damage.values()) {
      Map<String, byte[]> files = new TreeMap<>(intact);
      files.replaceAll((name, file) -> name.endsWith(suffix) ? damage.of(file.clone()) : file);
      put(files);
      Files.setLastModifiedTime(image, changed);
      try (PackagedServer server = setup().start();
          NbdClient guest = server.connect("vda")) {
        assertEquals(lost, inconsistent(server), damage::toString);
        Command.Result _ =
            server
                .run("snapshot", "--name", "next", "--since", since)
                .exits(exitCode)
                .says("full backup");
        byte[] written = new byte[5000];
        Arrays.fill(written, (byte) 7);
        Images.write(guest, 300_000, Images.filled(5000, 7));
        assertArrayEquals(written, Images.read(guest, 300_000, 5000));
        assertTrue(server.log().contains("take a full backup"), server.log());
      }
    }
  }

  @Test
  void damagedListLosesEveryCheckpointAndSaysSo() throws IOException {
    damage("bitmaps", List.of(), "c2", NOT_FOUND); // which there were is not known any more
  }

  @Test
  void damagedBitsOfTheRecordingCheckpointMakeItInconsistent() throws IOException {
    damage(".live", List.of("c2"), "c2", FULL_BACKUP_NEEDED);
  }

  @Test
  void damagedBitsOfAnEarlierCheckpointMakeItInconsistent() throws IOException {
    damage(".set", List.of("c1"), "c1", FULL_BACKUP_NEEDED);
  }

  @Test
  void secondServerOnTheSameDirectoryIsToldThatItIsInUse() throws IOException {
    makeCheckpoints();
    Path other = Images.sparse(directory.resolve("vdb.img"), DISK_BYTES);
    try (PackagedServer server = setup().start()) {
      assertTrue(server.isAlive());
      Command.Result _ =
          Command.run(
                  Program.serve(
                      "--unix",
                      directory.resolve("other.sock").toString(),
                      "--disk",
                      "vdb=" + other,
                      "--state",
                      directory.resolve("state").toString()))
              .exits(BUSY)
              .says("state", "in use by process", "--state");
    }
  }
}
