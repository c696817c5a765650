// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.integration;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Assumptions;

/// The packaged program, run by the JDK that runs the tests with the options of the launcher.
final class Program {
  private static final List<String> SERVER_OPTIONS =
      List.of(
          "--enable-native-access=ALL-UNNAMED",
          "-XX:+UseCompactObjectHeaders",
          "-Xmx256m",
          "-XX:MaxDirectMemorySize=4g",
          "-XX:+ExitOnOutOfMemoryError",
          "-Djdk.tls.rejectClientInitiatedRenegotiation=true",
          "-Dio.netty.jfr.enabled=false",
          "-Dsun.misc.unsafe.memory.access=allow",
          "-Dio.netty.leakDetection.level=paranoid",
          "-ea");
  private static final List<String> CLIENT_OPTIONS =
      List.of(
          "--enable-native-access=ALL-UNNAMED",
          "-XX:TieredStopAtLevel=1",
          "-XX:+UseSerialGC",
          "-Xshare:auto");

  private Program() {}

  /// The top of the source tree.
  static Path root() {
    String named = System.getProperty("nbdfleece.root", "");
    Path directory = Path.of(named.isEmpty() ? "." : named).toAbsolutePath().normalize();
    while (!Files.exists(directory.resolve("nbd-server/pom.xml"))) {
      directory = directory.getParent();
      if (directory == null) {
        throw new IllegalStateException("root: not found (expected: -Dnbdfleece.root=DIR)");
      }
    }
    return directory;
  }

  /// Skips the test when the program has not been packaged.
  static Path jar() {
    Path jar = root().resolve("cli/target/nbdfleece.jar");
    Assumptions.assumeTrue(
        Files.exists(jar), () -> jar + " not found: run `mvn verify`, or `mvn package` first");
    return jar;
  }

  static List<String> serve(String... arguments) {
    return serve(List.of(), arguments);
  }

  /// With further options for the JVM.
  static List<String> serve(List<String> jvmOptions, String... arguments) {
    List<String> command = java(Command.join(SERVER_OPTIONS, jvmOptions.toArray(String[]::new)));
    command.add("serve");
    command.addAll(Arrays.asList(arguments));
    return command;
  }

  static List<String> client(String... arguments) {
    List<String> command = java(CLIENT_OPTIONS);
    command.addAll(Arrays.asList(arguments));
    return command;
  }

  private static List<String> java(List<String> options) {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(options);
    command.add("-jar");
    command.add(jar().toString());
    return command;
  }
}
