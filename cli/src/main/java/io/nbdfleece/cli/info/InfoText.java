// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.info;

import io.nbdfleece.cli.info.ServerFacts.ListedFacts;
import io.nbdfleece.nbd.client.NegotiatedExport;
import java.util.Map;

/// For people: line by line what `nbdinfo --no-content` of libnbd 1.22 prints.
public final class InfoText {
  private InfoText() {}

  /// All lines, the last one ended too.
  public static String of(ServerFacts server) {
    StringBuilder text = new StringBuilder();
    text.append("protocol: newstyle-fixed ")
        .append(server.tls() ? "with" : "without")
        .append(" TLS");
    if (server.exports().stream().anyMatch(export -> export.negotiated().isPresent())) {
      text.append(", using ")
          .append(server.extended() ? "extended" : server.structured() ? "structured" : "simple")
          .append(" packets");
    }
    text.append('\n');
    server.exports().forEach(export -> append(text, export));
    return text.toString();
  }

  private static void append(StringBuilder text, ListedFacts export) {
    text.append("export=\"").append(printable(export.uri().exportName())).append("\":\n");
    if (!export.description().isEmpty()) {
      line(text, "description", printable(export.description()));
    }
    if (export.negotiated().isEmpty()) {
      line(text, "uri", export.uri());
      line(text, "error", printable(export.failure()));
      return;
    }
    NegotiatedExport negotiated = export.negotiated().get();
    line(text, "export-size", HumanSize.both(negotiated.sizeBytes()));
    line(text, "uri", export.uri());
    if (!negotiated.contexts().isEmpty()) {
      text.append("\tcontexts:\n");
      negotiated
          .contexts()
          .forEach(context -> text.append("\t\t").append(printable(context)).append('\n'));
    }
    for (Map.Entry<String, Boolean> flag : Question.flags(negotiated).entrySet()) {
      line(text, flag.getKey(), flag.getValue());
    }
    negotiated
        .minimumBlockBytes()
        .ifPresent(bytes -> line(text, "block_size_minimum", HumanSize.both(bytes)));
    negotiated
        .preferredBlockBytes()
        .ifPresent(bytes -> line(text, "block_size_preferred", HumanSize.both(bytes)));
    negotiated
        .maximumBlockBytes()
        .ifPresent(bytes -> line(text, "block_size_maximum", HumanSize.both(bytes)));
  }

  private static void line(StringBuilder text, String key, Object value) {
    text.append('\t').append(key).append(": ").append(value).append('\n');
  }

  /// A server's text cannot steer the terminal.
  static String printable(String text) {
    StringBuilder printable = new StringBuilder(text.length());
    text.codePoints()
        .forEach(
            c -> {
              switch (Character.getType(c)) {
                case Character.CONTROL,
                    Character.FORMAT,
                    Character.LINE_SEPARATOR,
                    Character.PARAGRAPH_SEPARATOR,
                    Character.SURROGATE ->
                    printable.append(String.format("\\u%04x", c));
                default -> printable.appendCodePoint(c);
              }
            });
    return printable.toString();
  }
}
