// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.base.Version;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Option;

/// `nbdfleece version`.
@Command(name = "version", description = "Shows the version.")
final class VersionCommand implements Callable<Integer> {

  @Option(names = "--json", description = "As a JSON document.")
  private boolean json;

  @Override
  public Integer call() {
    System.out.println(
        json
            ? Json.pretty(
                Json.object()
                    .put("version", Version.text())
                    .put("java", System.getProperty("java.version")))
            : text());
    return 0;
  }

  static String text() {
    return "nbdfleece " + Version.text() + " (Java " + System.getProperty("java.version") + ")";
  }

  /// For `--version`.
  static final class Provider implements IVersionProvider {
    @Override
    public String[] getVersion() {
      return new String[] {text()};
    }
  }
}
