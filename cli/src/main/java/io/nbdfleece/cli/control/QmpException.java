// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.ExitCode;
import java.io.IOException;

/// A QMP command failed: what stands in the `error` member of the answer.
public final class QmpException extends IOException {
  private static final long serialVersionUID = 1;

  private final ErrorClass errorClass;
  private final ExitCode exitCode;

  QmpException(ErrorClass errorClass, String description) {
    this(errorClass, description, ExitCode.FAILED);
  }

  QmpException(ErrorClass errorClass, String description, ExitCode exitCode) {
    super(description);
    this.errorClass = errorClass;
    this.exitCode = exitCode;
  }

  static QmpException generic(String description) {
    return new QmpException(ErrorClass.GENERIC_ERROR, description);
  }

  ErrorClass errorClass() {
    return errorClass;
  }

  /// How a command line client should end because of it.
  public ExitCode exitCode() {
    return exitCode;
  }

  /// The classes that QMP knows.
  enum ErrorClass {
    GENERIC_ERROR("GenericError"),
    COMMAND_NOT_FOUND("CommandNotFound"),
    DEVICE_NOT_FOUND("DeviceNotFound");

    private final String wireName;

    ErrorClass(String wireName) {
      this.wireName = wireName;
    }

    String wireName() {
      return wireName;
    }
  }
}
