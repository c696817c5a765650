// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.delta;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import java.time.DateTimeException;
import java.time.Instant;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// A point in time of a disk: a checkpoint, or a snapshot that started none.
///
/// @param name for people
/// @param instant to the nanosecond: with the disk's name it tells the point from every other one,
///   of the same name too
record DeltaPoint(String disk, String name, Instant instant) {

  /// Whether it is that point, whatever it is called.
  boolean isSame(DeltaPoint other) {
    return disk.equals(other.disk) && instant.equals(other.instant);
  }

  /// Whether it is a later point of the same disk.
  boolean isAfter(DeltaPoint other) {
    return disk.equals(other.disk) && instant.isAfter(other.instant);
  }

  ObjectNode json() {
    return Json.object().put("disk", disk).put("name", name).put("instant", instant.toString());
  }

  /// Throws IllegalArgumentException when it is none.
  static DeltaPoint of(JsonNode json) {
    try {
      return new DeltaPoint(
          json.path("disk").asString(""),
          json.path("name").asString(""),
          Instant.parse(json.path("instant").asString("")));
    } catch (DateTimeException e) {
      throw new IllegalArgumentException("no point in time", e);
    }
  }

  /// `c1 of disk vda (2026-11-21T10:44:17.123456789Z)`.
  @Override
  public String toString() {
    return ShownNames.of(name) + " of disk " + ShownNames.of(disk) + " (" + instant + ")";
  }
}
