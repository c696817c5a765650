// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.map;

import io.nbdfleece.cli.base.Json;
import java.io.IOException;
import java.io.PrintStream;
import tools.jackson.databind.node.StringNode;

/// Prints each extent as it comes, byte for byte as `nbdinfo --map` does: columns, or a JSON array
/// with an object a line.
public final class MapOutput implements ExtentWalk.Sink {
  private final String context;
  private final boolean json;
  private final PrintStream out;
  private final StringBuilder buffered = new StringBuilder();
  private boolean first = true;

  /// @param context whose names to use
  public MapOutput(String context, boolean json, PrintStream out) {
    this.context = context;
    this.json = json;
    this.out = out;
    if (json) {
      buffered.append("[\n");
    }
  }

  @Override
  public void extent(long offsetBytes, long lengthBytes, long type) {
    if (json) {
      buffered
          .append(first ? "" : ",\n")
          .append("{ \"offset\": ")
          .append(offsetBytes)
          .append(", \"length\": ")
          .append(lengthBytes)
          .append(", \"type\": ")
          .append(Long.toUnsignedString(type));
      TypeNames.of(context, type)
          .ifPresent(name -> buffered.append(", \"description\": ").append(quoted(name)));
      buffered.append('}');
    } else {
      column("", Long.toString(offsetBytes), 10);
      column("  ", Long.toString(lengthBytes), 10);
      column("  ", Long.toUnsignedString(type), 3);
      TypeNames.of(context, type).ifPresent(name -> buffered.append("  ").append(name));
      buffered.append('\n');
    }
    first = false;
  }

  private void column(String gap, String number, int width) {
    buffered.append(gap).append(" ".repeat(Math.max(0, width - number.length()))).append(number);
  }

  static String quoted(String text) {
    return Json.line(StringNode.valueOf(text));
  }

  @Override
  public void flush() throws IOException {
    if (!buffered.isEmpty()) {
      out.print(buffered);
      buffered.setLength(0);
      if (out.checkError()) {
        throw new IOException("standard output: closed by its reader");
      }
    }
  }

  /// Prints what ends it.
  public void finish() throws IOException {
    if (json) {
      buffered.append("\n]\n");
    }
    flush();
  }
}
