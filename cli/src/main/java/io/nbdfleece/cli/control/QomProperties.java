// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.fleecing.block.ThrottleLimits;
import io.nbdfleece.fleecing.graph.BlockGraph;
import io.nbdfleece.fleecing.graph.GraphException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.StringNode;

/// The properties of the objects that QEMU's object model has here: a device's `drive`, a throttle
/// group's `limits`, and these one by one to read.
final class QomProperties {
  private static final String DRIVE = "drive";
  private static final String LIMITS = "limits";
  private static final String SINGLE = "x-";
  private static final String TYPE = "type";

  private final BlockGraph graph;

  QomProperties(BlockGraph graph) {
    this.graph = graph;
  }

  void set(String path, String property, JsonNode value) throws IOException {
    QomPath object = QomPath.resolve(path, graph);
    switch (object) {
      case QomPath.Device(String name) when property.equals(DRIVE) -> {
        if (!value.isString()) {
          throw QmpOptions.wrongType(DRIVE, "string");
        }
        graph.setDrive(name, value.stringValue());
      }
      case QomPath.Group(String name) when property.equals(LIMITS) -> {
        QmpOptions limits = QmpOptions.of(value, LIMITS + ".");
        limits.requireKnown(ThrottleLimitsJson.TYPE);
        graph.limitThrottleGroup(name, limitsOf(name).with(ThrottleLimitsJson.read(limits, "")));
      }
      case QomPath.Group _ when isSingle(property) ->
          throw QmpException.generic("Property cannot be set after initialization");
      case QomPath.Device _, QomPath.Group _, QomPath.Container _ ->
          throw noProperty(object, property);
    }
  }

  JsonNode get(String path, String property) throws IOException {
    QomPath object = QomPath.resolve(path, graph);
    return switch (object) {
      case QomPath.Device(String name) when property.equals(DRIVE) ->
          StringNode.valueOf(graph.drive(name));
      case QomPath.Group(String name) when property.equals(LIMITS) ->
          ThrottleLimitsJson.of(limitsOf(name));
      case QomPath.Group(String name) when isSingle(property) ->
          ThrottleLimitsJson.of(limitsOf(name)).path(property.substring(SINGLE.length()));
      case QomPath.Device _, QomPath.Group _, QomPath.Container _ -> {
        if (property.equals(TYPE)) {
          yield StringNode.valueOf(typeOf(object));
        }
        throw noProperty(object, property);
      }
    };
  }

  ArrayNode list(String path) throws QmpException {
    List<QomPath.Child> properties = new ArrayList<>();
    properties.add(new QomPath.Child(TYPE, "string"));
    switch (QomPath.resolve(path, graph)) {
      case QomPath.Device _ -> properties.add(new QomPath.Child(DRIVE, "str"));
      case QomPath.Group _ -> {
        properties.add(new QomPath.Child(LIMITS, "ThrottleLimits"));
        ThrottleLimits.names()
            .forEach(name -> properties.add(new QomPath.Child(SINGLE + name, "int")));
      }
      case QomPath.Container(List<QomPath.Child> children) -> properties.addAll(children);
    }
    ArrayNode array = Json.array();
    properties.forEach(
        property -> array.addObject().put("name", property.name()).put(TYPE, property.type()));
    return array;
  }

  private ThrottleLimits limitsOf(String group) throws GraphException {
    return graph
        .throttleLimits(group)
        .orElseThrow(
            () ->
                new GraphException(
                    GraphException.Reason.NO_DEVICE, "Device '" + group + "' not found"));
  }

  private static boolean isSingle(String property) {
    return property.startsWith(SINGLE)
        && ThrottleLimits.names().contains(property.substring(SINGLE.length()));
  }

  private static QmpException noProperty(QomPath object, String property) {
    return QmpException.generic("Property '" + typeOf(object) + "." + property + "' not found");
  }

  private static String typeOf(QomPath object) {
    return switch (object) {
      case QomPath.Device _ -> "nbdfleece-disk";
      case QomPath.Group _ -> "throttle-group";
      case QomPath.Container _ -> "container";
    };
  }
}
