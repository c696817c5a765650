// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.warmup;

import io.nbdfleece.cli.base.CommandFailure;
import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.nbd.NbdUri;
import java.io.File;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.ToIntFunction;

/// A server at work for some seconds, and each client command at least once, as a user types them,
/// over real sockets. [#run] once, by one thread, in a process that does nothing else: standard
/// output and error are taken away for the time.
///
/// How often a step runs is chosen for the compilers: they should have seen each path of requests
/// some thousand times, with and without a snapshot. What is a server's client as often as that
/// runs in processes of its own ([#load]): the next server would compile that, too, while it
/// starts.
public final class WarmUp {
  private static final int DISK_BYTES = 128 << 20;
  private static final int CONTENT_BYTES = 32 << 20;

  /// More of them, since each cluster of the disk is preserved only once for one.
  private static final int SNAPSHOTS = 6;

  private static final long LIMIT_SECONDS = 120;

  private final ToIntFunction<String[]> program;

  /// @param program runs one command line and returns its exit code
  public WarmUp(ToIntFunction<String[]> program) {
    this.program = program;
  }

  /// Ends normally only when every step went well.
  public ExitCode run() throws IOException {
    PrintStream out = System.out;
    PrintStream err = System.err;
    try (ReadyOutput output = new ReadyOutput();
        WarmUpDirectory directory = WarmUpDirectory.create()) {
      PrintStream quiet = new PrintStream(output, true, StandardCharsets.UTF_8);
      System.setOut(quiet);
      System.setErr(new PrintStream(OutputStream.nullOutputStream(), true, StandardCharsets.UTF_8));
      writeDisk(directory.file("vda.img"));
      CompletableFuture<Integer> server = startServer(directory);
      await(CompletableFuture.anyOf(output.firstLine(), server));
      if (server.isDone()) {
        throw new CommandFailure(ExitCode.FAILED, "warm-up: serve ended, exit " + await(server));
      }
      play(directory);
      require(await(server), "serve");
    } finally {
      System.setOut(out);
      System.setErr(err);
    }
    return ExitCode.OK;
  }

  /// What a process of [#run]'s does: guests and backups of these exports, one after the other.
  public static ExitCode load(List<NbdUri> uris) throws IOException {
    for (NbdUri uri : uris) {
      new GuestLoad(uri).run();
    }
    return ExitCode.OK;
  }

  private CompletableFuture<Integer> startServer(WarmUpDirectory directory) {
    CompletableFuture<Integer> ended = new CompletableFuture<>();
    String[] arguments = {
      "serve",
      "--disk",
      "vda=" + directory.file("vda.img"),
      "--unix",
      directory.socket().toString(),
      "--port",
      "0",
      "--qmp",
      directory.control().toString(),
      "--ram",
      "16M",
      "--scratch",
      directory.path().toString(),
      "--state",
      directory.file("state").toString()
    };
    Thread.ofPlatform()
        .name("serve")
        .daemon()
        .start(
            () -> {
              try {
                ended.complete(program.applyAsInt(arguments));
              } catch (RuntimeException | Error e) {
                ended.completeExceptionally(e);
              }
            });
    return ended;
  }

  private void play(WarmUpDirectory directory) throws IOException {
    NbdUri disk = new NbdUri.Unix(directory.socket(), "vda");
    NbdUri frozen = new NbdUri.Unix(directory.socket(), "vda@s");
    control(directory, "list");
    control(directory, "status");
    client("info", disk.toString());
    client("info", "--list", disk.toString());
    client("map", disk.toString());
    client("help");
    client("--version");
    await(startLoad(disk));
    pull(directory, disk);
    control(directory, "bitmap", "add", "vda", "b");
    control(directory, "snapshot", "--name", "s");
    await(startLoad(disk, frozen));
    pull(directory, frozen);
    client("map", frozen.toString());
    control(directory, "status");
    control(directory, "qmp", "query-block");
    control(directory, "release", "s");
    for (int i = 0; i < SNAPSHOTS; i++) {
      control(directory, "snapshot", "--name", "s");
      await(startLoad(disk));
      control(directory, "release", "s");
    }
    control(directory, "qmp", "quit");
  }

  private void pull(WarmUpDirectory directory, NbdUri uri) throws IOException {
    client(
        "pull",
        "--force",
        "--no-sync",
        "--progress=none",
        uri.toString(),
        directory.file("copy.img").toString());
  }

  /// This program once more, without the options that have java watch.
  private static Process startLoad(NbdUri... uris) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-jar", System.getProperty("java.class.path"), "warm-up"));
    for (NbdUri uri : uris) {
      command.add(uri.toString());
    }
    return new ProcessBuilder(command)
        .redirectInput(ProcessBuilder.Redirect.from(new File("/dev/null")))
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .redirectError(ProcessBuilder.Redirect.INHERIT)
        .start();
  }

  private static void await(Process load) throws IOException {
    try {
      if (!load.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)) {
        throw new IOException("warm-up: the load did not end in " + LIMIT_SECONDS + " s");
      }
      require(load.exitValue(), "load");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    } finally {
      load.destroyForcibly();
    }
  }

  private void control(WarmUpDirectory directory, String... arguments) throws CommandFailure {
    String[] all = new String[arguments.length + 2];
    System.arraycopy(arguments, 0, all, 0, arguments.length);
    all[arguments.length] = "--qmp";
    all[arguments.length + 1] = directory.control().toString();
    client(all);
  }

  private void client(String... arguments) throws CommandFailure {
    require(program.applyAsInt(arguments), arguments[0]);
  }

  private static void require(int exitCode, String command) throws CommandFailure {
    if (exitCode != 0) {
      throw new CommandFailure(ExitCode.FAILED, "warm-up: " + command + ": exit " + exitCode);
    }
  }

  private static <T> T await(CompletableFuture<T> future) throws IOException {
    try {
      return future.get(LIMIT_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException | TimeoutException e) {
      throw new IOException("warm-up: " + e, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }

  /// Sparse, with content in its first part.
  private static void writeDisk(Path path) throws IOException {
    SplittableRandom random = new SplittableRandom(1);
    byte[] content = new byte[1 << 20];
    random.nextBytes(content);
    try (FileChannel channel =
        FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      for (long at = 0; at < CONTENT_BYTES; at += content.length) {
        writeFully(channel, ByteBuffer.wrap(content), at);
      }
      writeFully(channel, ByteBuffer.wrap(new byte[1]), DISK_BYTES - 1);
    }
  }

  private static void writeFully(FileChannel channel, ByteBuffer data, long offsetBytes)
      throws IOException {
    long at = offsetBytes;
    while (data.hasRemaining()) {
      at += channel.write(data, at);
    }
  }
}
