// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.base.Messages;
import io.nbdfleece.cli.control.QmpException;
import io.nbdfleece.fleecing.DiskBusyException;
import io.nbdfleece.fleecing.NameTakenException;
import io.nbdfleece.fleecing.NoSuchDiskException;
import io.nbdfleece.fleecing.NoSuchSnapshotException;
import io.nbdfleece.fleecing.bitmap.ShownNames;
import java.io.IOException;
import java.net.BindException;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;
import java.nio.file.attribute.UserPrincipalNotFoundException;

/// Tells a person, or with `--json` a program, why a command failed.
final class ErrorReport {
  private ErrorReport() {}

  /// Prints and returns the exit code. A stack trace is shown only with `NBDFLEECE_DEBUG` set.
  static int print(Exception error, boolean json) {
    if (System.getenv("NBDFLEECE_DEBUG") != null) {
      error.printStackTrace();
    }
    return print(codeOf(error), messageOf(error), json);
  }

  static int print(ExitCode code, String message, boolean json) {
    System.out.flush();
    if (json) {
      System.err.println(
          Json.line(
              Json.object()
                  .put("message_type", "exit_error")
                  .put("code", code.number())
                  .put("message", message)));
    } else {
      System.err.println("nbdfleece: " + ShownNames.text(message));
    }
    return code.number();
  }

  static ExitCode codeOf(Throwable error) {
    return switch (error) {
      case CommandFailure failure -> failure.code();
      case QmpException refused -> refused.exitCode();
      case NoSuchDiskException _,
          NoSuchSnapshotException _,
          NoSuchFileException _,
          UserPrincipalNotFoundException _ ->
          ExitCode.NOT_FOUND;
      case DiskBusyException _, NameTakenException _, BindException _ -> ExitCode.BUSY;
      default -> error.getCause() == null ? ExitCode.FAILED : codeOf(error.getCause());
    };
  }

  private static String messageOf(Exception error) {
    return switch (error) {
      case NoSuchFileException e -> e.getFile() + ": no such file or directory: check the path";
      case AccessDeniedException e ->
          e.getFile() + ": permission denied: use a place you may use, or run as root";
      case IOException e -> Messages.of(e);
      default ->
          "internal error, " + error + ": please report it; NBDFLEECE_DEBUG=1 shows where it was";
    };
  }
}
