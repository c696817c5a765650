// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// What a client sent, as far as all commands have it alike.
///
/// @param arguments not looked at yet
record QmpRequest(String command, ObjectNode arguments) {

  /// The object of one message. Fails with QEMU's words, or, for bad syntax, with the parser's
  /// behind QEMU's first three.
  static ObjectNode parse(byte[] message) throws QmpException {
    JsonNode node;
    try {
      node = Json.parse(message);
    } catch (JacksonException e) {
      throw QmpException.usage("JSON parse error, " + Json.fault(e));
    }
    if (!(node instanceof ObjectNode request)) {
      throw QmpException.usage("QMP input must be a JSON object");
    }
    return request;
  }

  static QmpRequest of(ObjectNode request) throws QmpException {
    for (String member : request.propertyNames()) {
      if (!member.equals("execute") && !member.equals("arguments") && !member.equals("id")) {
        throw QmpException.usage("QMP input member '" + member + "' is unexpected");
      }
    }
    JsonNode name = request.get("execute");
    if (name == null) {
      throw QmpException.usage("QMP input lacks member 'execute'");
    }
    if (!name.isString()) {
      throw QmpException.usage("QMP input member 'execute' must be a string");
    }
    JsonNode arguments = request.has("arguments") ? request.get("arguments") : Json.object();
    if (!(arguments instanceof ObjectNode object)) {
      throw QmpException.usage("QMP input member 'arguments' must be an object");
    }
    return new QmpRequest(name.stringValue(), object);
  }
}
