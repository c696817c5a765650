// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.fleecing.DiskBusyException;
import io.nbdfleece.fleecing.NameTakenException;
import io.nbdfleece.fleecing.NoSuchDiskException;
import io.nbdfleece.fleecing.NoSuchExportException;
import io.nbdfleece.fleecing.NoSuchSnapshotException;
import io.nbdfleece.fleecing.bitmap.BitmapException;

/// What a command line client should exit with when a command failed for that reason.
final class FailureCode {
  private FailureCode() {}

  static ExitCode of(Exception failure) {
    return switch (failure) {
      case CommandFailure command -> command.code();
      case NoSuchDiskException _, NoSuchSnapshotException _, NoSuchExportException _ ->
          ExitCode.NOT_FOUND;
      case NameTakenException _, DiskBusyException _ -> ExitCode.BUSY;
      case BitmapException bitmap ->
          switch (bitmap.reason()) {
            case NOT_FOUND -> ExitCode.NOT_FOUND;
            case EXISTS, BUSY -> ExitCode.BUSY;
            case INVALID -> ExitCode.USAGE;
            case INCONSISTENT -> ExitCode.FULL_BACKUP_NEEDED;
            case UNSUPPORTED -> ExitCode.FAILED;
          };
      case IllegalArgumentException _ -> ExitCode.USAGE;
      default -> ExitCode.FAILED;
    };
  }
}
