// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.cli.control.schema.SchemaMismatch;
import java.io.IOException;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.node.ObjectNode;

/// A QMP command failed: what stands in the `error` member of the answer.
public final class QmpException extends IOException {
  private static final long serialVersionUID = 1;

  private final ErrorClass errorClass;
  private final ExitCode exitCode;
  private final @Nullable String hint;

  QmpException(ErrorClass errorClass, String description, ExitCode exitCode) {
    this(errorClass, description, exitCode, Optional.empty());
  }

  /// @param hint what to do about it, for people
  QmpException(
      ErrorClass errorClass, String description, ExitCode exitCode, Optional<String> hint) {
    super(description);
    this.errorClass = errorClass;
    this.exitCode = exitCode;
    this.hint = hint.orElse(null);
  }

  /// Arguments do not fit.
  QmpException(SchemaMismatch mismatch) {
    super(Messages.of(mismatch), mismatch);
    this.errorClass = ErrorClass.GENERIC_ERROR;
    this.exitCode = ExitCode.USAGE;
    this.hint = null;
  }

  /// Of QEMU's class `GenericError`, which nearly all are.
  public static QmpException generic(String description) {
    return generic(description, ExitCode.FAILED);
  }

  /// What the client sent is wrong, whatever the state of things.
  public static QmpException usage(String description) {
    return generic(description, ExitCode.USAGE);
  }

  /// No such command, or not now.
  static QmpException noCommand(String description) {
    return new QmpException(ErrorClass.COMMAND_NOT_FOUND, description, ExitCode.USAGE);
  }

  ErrorClass errorClass() {
    return errorClass;
  }

  /// The answer, without an id.
  ObjectNode json() {
    ObjectNode answer = Json.object();
    ObjectNode error =
        answer
            .putObject("error")
            .put("class", errorClass.wireName())
            .put("desc", getMessage())
            .put(QmpClient.EXIT_CODE, exitCode.number());
    if (hint != null) {
      ObjectNode _ = error.put(QmpClient.HINT, hint);
    }
    return answer;
  }

  /// How a command line client should end because of it.
  public ExitCode exitCode() {
    return exitCode;
  }

  /// The same with what the command line should exit with.
  public static QmpException generic(String description, ExitCode exitCode) {
    return new QmpException(ErrorClass.GENERIC_ERROR, description, exitCode);
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
