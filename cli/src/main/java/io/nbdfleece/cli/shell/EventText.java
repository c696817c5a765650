// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.shell;

import io.nbdfleece.cli.base.Json;
import java.time.Instant;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.Map;
import tools.jackson.databind.JsonNode;

/// A QMP event as a person reads it.
public final class EventText {
  private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss");

  private EventText() {}

  /// `2026-11-21 04:27:28 X_NBDFLEECE_SNAPSHOT_ENDED name=nightly success=true`.
  public static String of(JsonNode event) {
    StringBuilder text = new StringBuilder();
    JsonNode timestamp = event.path("timestamp");
    if (timestamp.has("seconds")) {
      Instant instant = Instant.ofEpochSecond(timestamp.path("seconds").asLong());
      text.append(TIME.format(instant.atZone(ZoneId.systemDefault()))).append("  ");
    }
    text.append(event.path("event").asString());
    String separator = "  ";
    for (Map.Entry<String, JsonNode> member : event.path("data").properties()) {
      JsonNode value = member.getValue();
      text.append(separator)
          .append(member.getKey())
          .append('=')
          .append(value.isString() ? quoted(value.asString()) : Json.line(value));
      separator = " ";
    }
    return text.toString();
  }

  private static String quoted(String text) {
    return text.matches("[^\\s\"\\p{Cntrl}]+") ? text : Json.line(Json.array().add(text).get(0));
  }
}
