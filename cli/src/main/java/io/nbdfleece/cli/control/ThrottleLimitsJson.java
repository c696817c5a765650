// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.INT64;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import io.nbdfleece.fleecing.block.ThrottleLimits;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.node.ObjectNode;

/// `ThrottleLimits`.
final class ThrottleLimitsJson {
  static final QmpType.Struct TYPE = new QmpType.Struct("ThrottleLimits", members(""));

  private ThrottleLimitsJson() {}

  /// All limits, each optional.
  static List<Member> members(String prefix) {
    return ThrottleLimits.names().stream()
        .map(name -> Member.optional(prefix + name, INT64))
        .toList();
  }

  /// The limits that are there.
  ///
  /// @param prefix of the names: `x-` or nothing
  static Map<String, Long> read(QmpOptions options, String prefix) throws QmpException {
    Map<String, Long> values = new HashMap<>();
    for (String name : ThrottleLimits.names()) {
      var raw = options.raw(prefix + name);
      if (raw.isEmpty()) {
        continue;
      }
      if (!raw.get().isIntegralNumber() || !raw.get().canConvertToLong()) {
        throw QmpOptions.wrongType(options.path(prefix + name), "integer");
      }
      if (!prefix.isEmpty() && raw.get().longValue() < 0) {
        throw QmpException.usage("Property values cannot be negative");
      }
      values.put(name, raw.get().longValue());
    }
    return values;
  }

  static ObjectNode of(ThrottleLimits limits) {
    ObjectNode json = Json.object();
    limits.values().forEach(json::put);
    return json;
  }
}
