// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.base;

import java.io.IOException;

/// A command cannot do what it was asked to. The message is for a person, in the form `what, where:
/// what to do`, and is all that is printed.
public final class CommandFailure extends IOException {
  private static final long serialVersionUID = 1;

  private final ExitCode code;

  public CommandFailure(ExitCode code, String message) {
    super(message);
    this.code = code;
  }

  public CommandFailure(ExitCode code, String message, Throwable cause) {
    super(message, cause);
    this.code = code;
  }

  /// How the process ends because of it.
  public ExitCode code() {
    return code;
  }
}
