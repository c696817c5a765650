// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.SIZE;

import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.io.IOException;
import java.util.List;
import java.util.OptionalLong;
import tools.jackson.databind.JsonNode;

/// `cache-resize`: gives RAM (`ram`) and disk tier (`scratch-limit`) for preserved data other sizes
/// while they are in use, in bytes; what is absent stays as it is. All or nothing; answers with the
/// store as it is then.
final class CacheResize implements QmpCommand {
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "CacheResizeArguments",
          List.of(Member.optional("ram", SIZE), Member.optional("scratch-limit", SIZE)));

  @Override
  public String name() {
    return "cache-resize";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public QmpType returns() {
    return StoreJson.TYPE;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    OptionalLong ram = arguments.optionalInteger("ram", 0, Long.MAX_VALUE);
    OptionalLong scratch = arguments.optionalInteger("scratch-limit", 0, Long.MAX_VALUE);
    if (ram.isEmpty() && scratch.isEmpty()) {
      throw QmpException.usage("cache-resize: give 'ram', 'scratch-limit' or both");
    }
    try {
      target.resizeStore(ram, scratch);
    } catch (IllegalArgumentException e) {
      throw QmpException.usage("cache-resize: " + e.getMessage());
    }
    return StoreJson.of(target);
  }
}
