// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.base;

/// How the process ends. Scripts rely on the numbers: they never change their meaning, and an
/// unknown number is a failure.
public enum ExitCode {
  OK(0, "ok"),
  FAILED(1, "failed"),
  FALSE(2, "no, as an answer to info --is or --can"),
  SNAPSHOT_BROKEN(3, "the snapshot broke, or was released, while it was pulled"),
  FULL_BACKUP_NEEDED(4, "bitmap or checkpoint inconsistent: the next backup must be full"),
  NOT_FOUND(10, "no such disk, export, snapshot, bitmap, checkpoint or file"),
  BUSY(11, "in use: disk locked, bitmap busy, name, port, socket or target file taken"),
  NOT_TRUSTED(12, "TLS: certificate, key or identity refused, or TLS needed"),
  USAGE(64, "wrong arguments"),
  UNREACHABLE(69, "server not reachable, or no JDK 25"),
  INTERRUPTED(130, "interrupted");

  private final int number;
  private final String meaning;

  ExitCode(int number, String meaning) {
    this.number = number;
    this.meaning = meaning;
  }

  /// What the shell sees.
  public int number() {
    return number;
  }

  /// For `--help`.
  public String meaning() {
    return meaning;
  }

  /// The code of that number; [#FAILED] for a number that has none.
  public static ExitCode ofNumber(int number) {
    for (ExitCode code : values()) {
      if (code.number == number) {
        return code;
      }
    }
    return FAILED;
  }
}
