// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control.schema;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/// A type of QMP's schema (QEMU's docs/devel/qapi-code-gen). Types are told apart by their names:
/// two of one name must be equal.
public sealed interface QmpType {

  /// What needs no definition. `SIZE`, `UINT32` and `UINT64` are integers with a range.
  enum Builtin implements QmpType {
    STRING,
    BOOLEAN,
    INT64,
    UINT32,
    UINT64,
    SIZE,
    NUMBER,
    NULL,
    ANY
  }

  record ArrayOf(QmpType element) implements QmpType {}

  /// One of some strings.
  record Enumeration(String name, List<String> values) implements QmpType {
    public Enumeration {
      values = List.copyOf(values);
    }
  }

  /// An object.
  ///
  /// @param variants further members, by the value of one
  record Struct(String name, List<Member> members, Optional<Variants> variants) implements QmpType {
    public static final Struct EMPTY = new Struct("q_empty", List.of());

    public Struct {
      members = List.copyOf(members);
    }

    public Struct(String name, List<Member> members) {
      this(name, members, Optional.empty());
    }
  }

  /// A value of one of several JSON types.
  record Alternate(String name, List<QmpType> choices) implements QmpType {
    public Alternate {
      choices = List.copyOf(choices);
    }
  }

  /// A type that is defined further down or contains itself: asked for when it is needed.
  record Deferred(Supplier<QmpType> target) implements QmpType {}

  record Member(String name, QmpType type, boolean optional) {
    public static Member of(String name, QmpType type) {
      return new Member(name, type, false);
    }

    public static Member optional(String name, QmpType type) {
      return new Member(name, type, true);
    }
  }

  /// @param tag the member, an [Enumeration], that tells which
  /// @param branches by its value; a value without a branch adds nothing
  record Variants(String tag, Map<String, Struct> branches) {
    public Variants {
      branches = Map.copyOf(branches);
    }
  }
}
