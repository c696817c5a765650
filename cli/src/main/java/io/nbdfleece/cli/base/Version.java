// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.base;

/// The version of this program, as the manifest of its jar says.
public final class Version {
  private Version() {}

  /// `0.1.0`, or `0.0.0-dev` when not run from the jar.
  public static String text() {
    String version = Version.class.getPackage().getImplementationVersion();
    return version == null ? "0.0.0-dev" : version;
  }

  /// Major, minor or micro number.
  ///
  /// @param index 0 to 2
  public static int number(int index) {
    String[] numbers = text().split("[.-]", -1);
    return Integer.parseInt(numbers[index]);
  }
}
