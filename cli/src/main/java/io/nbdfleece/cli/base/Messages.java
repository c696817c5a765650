// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.base;

/// What an exception says.
public final class Messages {
  private Messages() {}

  /// Its message, or what it is when it has none.
  public static String of(Throwable error) {
    String message = error.getMessage();
    return message == null ? error.toString() : message;
  }
}
