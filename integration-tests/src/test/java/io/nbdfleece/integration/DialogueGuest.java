// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.nbdfleece.nbd.NbdException;
import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.client.NbdClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;

/// What a dialogue's NBD clients do, each over a connection of its own:
///
/// ```
///   write   SOCKET EXPORT OFFSET LENGTH BYTE
///   read    SOCKET EXPORT OFFSET LENGTH BYTE         must be full of that byte
///   refused SOCKET EXPORT OFFSET LENGTH              must not be readable
///   dirty   SOCKET EXPORT BITMAP OFFSET+LENGTH…      what is dirty; nothing = none is
///   none    SOCKET EXPORT                            there must be no such export
/// ```
final class DialogueGuest {
  private DialogueGuest() {}

  static void act(List<String> words) throws IOException {
    Path socket = Path.of(words.get(1));
    String export = words.get(2);
    switch (words.getFirst()) {
      case "write" -> {
        try (NbdClient client = connect(socket, export, "base:allocation")) {
          int length = Math.toIntExact(Dialogue.bytes(words.get(4)));
          ByteBuffer data = Images.filled(length, Integer.decode(words.get(5)));
          Images.write(client, Dialogue.bytes(words.get(3)), data);
        }
      }
      case "read" -> {
        try (NbdClient client = connect(socket, export, "base:allocation")) {
          int length = Math.toIntExact(Dialogue.bytes(words.get(4)));
          byte[] expected = new byte[length];
          Arrays.fill(expected, Integer.decode(words.get(5)).byteValue());
          assertArrayEquals(
              expected,
              Images.read(client, Dialogue.bytes(words.get(3)), length),
              () -> String.join(" ", words));
        }
      }
      case "refused" -> {
        try (NbdClient client = connect(socket, export, "base:allocation")) {
          int length = Math.toIntExact(Dialogue.bytes(words.get(4)));
          NbdException _ =
              assertThrows(
                  NbdException.class,
                  () -> Images.read(client, Dialogue.bytes(words.get(3)), length),
                  () -> String.join(" ", words));
        }
      }
      case "dirty" -> {
        String context = "qemu:dirty-bitmap:" + words.get(3);
        try (NbdClient client = connect(socket, export, context)) {
          String expected = String.join(" ", words.subList(4, words.size()));
          assertEquals(expected, DirtyMap.read(client, context).toString());
        }
      }
      case "none" ->
          assertThrows(
              IOException.class,
              () -> connect(socket, export, "base:allocation").close(),
              () -> String.join(" ", words));
      default -> throw new IOException("no such step: " + words);
    }
  }

  private static NbdClient connect(Path socket, String export, String context) throws IOException {
    return NbdClient.connect(new NbdUri.Unix(socket, export), List.of(context));
  }
}
