// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.info;

import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.client.NegotiatedExport;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/// What `--is` and `--can` may ask, with the words of `nbdinfo`.
public enum Question {
  CONNECT(""),
  READ(""),
  TLS(""),
  STRUCTURED_REPLY(""),
  EXTENDED_HEADERS(""),
  META_CONTEXT(""),
  WRITE(""),
  ROTATIONAL("is_rotational"),
  READ_ONLY("is_read_only"),
  BLOCK_STATUS_PAYLOAD("can_block_status_payload"),
  CACHE("can_cache"),
  DF("can_df"),
  FAST_ZERO("can_fast_zero"),
  FLUSH("can_flush"),
  FUA("can_fua"),
  MULTI_CONN("can_multi_conn"),
  TRIM("can_trim"),
  ZERO("can_zero");

  /// In the full report; empty = not shown there.
  private final String key;

  Question(String key) {
    this.key = key;
  }

  /// Finds it by its word; `-` and `_` may be left out.
  public static Optional<Question> ofWord(String word) {
    String plain = plain(word);
    return Stream.of(values())
        .filter(
            question ->
                plain(question.name()).equals(plain)
                    || (question == STRUCTURED_REPLY && plain.equals("structured")))
        .findFirst();
  }

  private static String plain(String word) {
    return word.toLowerCase(Locale.ROOT).replace("-", "").replace("_", "");
  }

  /// All words, for a message.
  public static String words() {
    return Stream.of(values()).map(Question::toString).sorted().collect(Collectors.joining(", "));
  }

  /// The answer for an export that could be opened.
  public boolean isTrueFor(NegotiatedExport export) {
    Set<Ability> abilities = export.abilities();
    return switch (this) {
      case CONNECT, READ -> true;
      case TLS -> export.tlsProtocol().isPresent();
      case STRUCTURED_REPLY -> export.structuredReplies();
      case EXTENDED_HEADERS -> export.extendedHeaders();
      case META_CONTEXT -> !export.contexts().isEmpty();
      case WRITE -> !export.readOnly();
      case ROTATIONAL -> abilities.contains(Ability.ROTATIONAL);
      case READ_ONLY -> export.readOnly();
      case BLOCK_STATUS_PAYLOAD -> export.statusPayload();
      case CACHE -> abilities.contains(Ability.CACHE);
      case DF -> export.dontFragment();
      case FAST_ZERO -> abilities.contains(Ability.FAST_ZERO);
      case FLUSH -> abilities.contains(Ability.FLUSH);
      case FUA -> abilities.contains(Ability.FUA);
      case MULTI_CONN -> abilities.contains(Ability.MULTI_CONN);
      case TRIM -> abilities.contains(Ability.TRIM);
      case ZERO -> abilities.contains(Ability.WRITE_ZEROES);
    };
  }

  /// Those that the full report shows, by the key that it shows, in its order.
  static Map<String, Boolean> flags(NegotiatedExport export) {
    Map<String, Boolean> flags = new LinkedHashMap<>();
    for (Question question : values()) {
      if (!question.key.isEmpty()) {
        flags.put(question.key, question.isTrueFor(export));
      }
    }
    return flags;
  }

  /// `read-only`.
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
