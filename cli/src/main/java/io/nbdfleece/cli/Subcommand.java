// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli;

import java.util.Optional;

/// The commands, in the order in which the help shows them, by a name that is known without loading
/// the class.
enum Subcommand {
  SERVE("serve", ServeCommand.class),
  SNAPSHOT("snapshot", SnapshotCommand.class),
  RELEASE("release", ReleaseCommand.class),
  LIST("list", ListCommand.class),
  STATUS("status", StatusCommand.class),
  CACHE_RESIZE("cache-resize", CacheResizeCommand.class),
  BITMAP("bitmap", BitmapCommand.class),
  CHECKPOINT("checkpoint", CheckpointCommand.class),
  EVENTS("events", EventsCommand.class),
  QMP("qmp", QmpShellCommand.class),
  INFO("info", InfoCommand.class),
  MAP("map", MapCommand.class),
  PULL("pull", PullCommand.class),
  APPLY("apply", ApplyCommand.class),
  DEMO("demo", DemoCommand.class),
  WARM_UP("warm-up", WarmUpCommand.class),
  VERSION("version", VersionCommand.class),
  HELP("help", HelpCommand.class);

  private final String word;
  private final Class<?> command;

  Subcommand(String word, Class<?> command) {
    this.word = word;
    this.command = command;
  }

  /// What a user types; the annotation of [#command] says the same.
  String word() {
    return word;
  }

  Class<?> command() {
    return command;
  }

  static Optional<Subcommand> named(String word) {
    for (Subcommand one : values()) {
      if (one.word.equals(word)) {
        return Optional.of(one);
      }
    }
    return Optional.empty();
  }
}
