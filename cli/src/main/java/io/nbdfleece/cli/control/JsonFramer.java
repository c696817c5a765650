// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/// Cuts a byte stream into JSON objects. QMP has no framing: objects stand back to back, with or
/// without white space between them. Only the nesting is looked at here; the parser judges the
/// rest.
///
/// ```
///   BETWEEN ──'{' or '['──▶ INSIDE ──quote──▶ STRING ──'\'──▶ ESCAPE
///      │  ▲                  │   ▲              │  ▲            │
///      │  └──closed, depth 0─┘   └────quote─────┘  └────────────┘
///      └─anything else─▶ GARBAGE ──line feed──▶ BETWEEN
/// ```
///
/// Used by one thread.
final class JsonFramer {
  private final int messageBytesMax;
  private final int depthMax;
  private final ByteArrayOutputStream message = new ByteArrayOutputStream();
  private State state = State.BETWEEN;
  private int depth;
  private byte quote;

  JsonFramer(QmpLimits limits) {
    this.messageBytesMax = limits.messageBytesMax();
    this.depthMax = limits.depthMax();
  }

  /// Takes all of `data` and returns what it completed: whole objects, and garbage (one line that
  /// starts with something else), in order. Fails when a message passes a limit; the stream cannot
  /// be read on then.
  List<byte[]> feed(ByteBuffer data) throws LimitPassed {
    List<byte[]> complete = new ArrayList<>();
    while (data.hasRemaining()) {
      byte b = data.get();
      State before = state;
      state = next(b);
      if (before == State.BETWEEN && state == State.BETWEEN) {
        continue;
      }
      if (message.size() >= messageBytesMax) {
        throw new LimitPassed(
            "JSON message too long (expected: at most " + messageBytesMax + " bytes)");
      }
      message.write(b);
      if (state == State.BETWEEN) {
        complete.add(message.toByteArray());
        message.reset();
      }
    }
    return complete;
  }

  private State next(byte b) throws LimitPassed {
    return switch (state) {
      case BETWEEN -> between(b);
      case INSIDE -> inside(b);
      case STRING -> b == '\\' ? State.ESCAPE : b == quote ? State.INSIDE : State.STRING;
      case ESCAPE -> State.STRING;
      case GARBAGE -> b == '\n' ? State.BETWEEN : State.GARBAGE;
    };
  }

  private State between(byte b) throws LimitPassed {
    return switch (b) {
      case ' ', '\t', '\r', '\n' -> State.BETWEEN;
      case '{', '[' -> inside(b);
      default -> State.GARBAGE;
    };
  }

  private State inside(byte b) throws LimitPassed {
    return switch (b) {
      case '"', '\'' -> {
        quote = b;
        yield State.STRING;
      }
      case '{', '[' -> {
        if (++depth > depthMax) {
          throw new LimitPassed("JSON nested too deep (expected: at most " + depthMax + " levels)");
        }
        yield State.INSIDE;
      }
      case '}', ']' -> --depth == 0 ? State.BETWEEN : State.INSIDE;
      default -> State.INSIDE;
    };
  }

  private enum State {
    BETWEEN,
    INSIDE,
    STRING,
    ESCAPE,
    GARBAGE
  }
}
