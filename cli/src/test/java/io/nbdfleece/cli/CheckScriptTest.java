// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// `./check`, as far as it does not begin anything.
@Timeout(60)
final class CheckScriptTest {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "--soak abc",
        "--soak 0",
        "--soak -1",
        "--soak 1.5",
        "--campaign 0",
        "--campaign ten",
        "--campaign 1e6"
      })
  void wrongNumberIsAUsageErrorThatNamesIt(String arguments) throws Exception {
    Result result = check(arguments.split(" "));
    assertEquals(64, result.code, result.text);
    assertTrue(result.text.startsWith("check: " + arguments + ": expected "), result.text);
    assertTrue(result.text.contains("at least 1"), result.text);
  }

  @Test
  void helpNamesWhatItCanDo() throws Exception {
    Result result = check("--help");
    assertEquals(0, result.code, result.text);
    for (String word : List.of("--campaign", "--soak", "NBDFLEECE_REQUIRE_PEERS", "Maven")) {
      assertTrue(result.text.contains(word), result.text);
    }
  }

  private record Result(int code, String text) {}

  private static Result check(String... arguments) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(List.of("./check"));
    command.addAll(List.of(arguments));
    Process process =
        new ProcessBuilder(command)
            .directory(Path.of(System.getProperty("nbdfleece.root", "..")).toFile())
            .redirectErrorStream(true)
            .start();
    String text = new String(process.getInputStream().readAllBytes(), UTF_8);
    return new Result(process.waitFor(), text);
  }
}
