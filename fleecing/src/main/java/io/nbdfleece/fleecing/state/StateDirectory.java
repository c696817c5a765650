// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import io.nbdfleece.cache.posix.ImageInUseException;
import io.nbdfleece.cache.posix.ImageLock;
import io.nbdfleece.cache.posix.LinuxFile;
import io.nbdfleece.fleecing.DiskBusyException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.Stream;

/// The directory of `--state`: one folder per disk. Used by one process at a time (it is locked).
///
/// ```
///   DIR/lock                 locked while in use; holds the process number of the last user
///   DIR/transaction          which disks still have to take their next list over: [JointCommit]
///   DIR/DISK/bitmaps         the list of the disk's bitmaps: [BitmapList]
///   DIR/DISK/bitmaps.next    the next one, within a transaction of several disks
///   DIR/DISK/activity-G      the regions being written: [LogLayout]
///   DIR/DISK/G-N.live        bits of a bitmap that records: [LiveFile]
///   DIR/DISK/G-N.set         bits of one that does not: [SealedSet]
/// ```
///
/// A recording bitmap takes its whole size from its beginning: 32 MiB for a disk of 16 TiB in
/// granules of 64 KiB, a bit for each granule in general.
///
/// **Threads.** Any thread. Heartbeats have one of their own, so that nothing which waits for
/// storage makes them late.
public final class StateDirectory implements AutoCloseable {
  private static final long HEARTBEAT_MILLIS = 1000;

  private final Path directory;
  private final Folders folders;
  private final LinuxFile lockFile;
  private static final System.Logger LOGGER = System.getLogger(StateDirectory.class.getName());

  private final JointCommit joint;
  private final Set<FileDiskState> opened = ConcurrentHashMap.newKeySet();
  private final ScheduledExecutorService heartbeats =
      Executors.newSingleThreadScheduledExecutor(
          task -> {
            Thread thread = new Thread(task, "nbdfleece-heartbeat");
            thread.setDaemon(true);
            return thread;
          });

  /// Opens folders.
  @FunctionalInterface
  interface Folders {
    StateFiles open(Path folder);
  }

  private StateDirectory(Path directory, Folders folders, LinuxFile lockFile, JointCommit joint) {
    this.directory = directory;
    this.folders = folders;
    this.lockFile = lockFile;
    this.joint = joint;
    ScheduledFuture<?> _ =
        heartbeats.scheduleWithFixedDelay(
            () -> opened.removeIf(state -> !beats(state)),
            HEARTBEAT_MILLIS,
            HEARTBEAT_MILLIS,
            TimeUnit.MILLISECONDS);
  }

  /// One that cannot must not keep the others from telling that the server runs, now or ever.
  private static boolean beats(FileDiskState state) {
    try {
      return state.beat();
    } catch (RuntimeException | VirtualMachineError e) {
      LOGGER.log(System.Logger.Level.ERROR, "a heartbeat of disk " + state.disk(), e);
      return true;
    }
  }

  /// Opens and locks it; makes it if its parent is there. Fails, naming it and what to do.
  public static StateDirectory open(Path directory) throws IOException {
    return open(directory, FolderFiles::new);
  }

  /// With files of the caller's choice, but for the lock.
  static StateDirectory open(Path directory, Folders folders) throws IOException {
    makeFolder(directory);
    Path path = directory.resolve("lock");
    try {
      return locked(directory, folders, path, makeOrOpen(path));
    } catch (DiskBusyException e) {
      throw e;
    } catch (IOException e) {
      throw new IOException(
          "cannot use state directory "
              + directory
              + ": "
              + e.getMessage()
              + ": make it writable, with free space, or choose another with --state",
          e);
    }
  }

  private static LinuxFile makeOrOpen(Path path) throws IOException {
    try {
      return LinuxFile.create(path);
    } catch (IOException e) {
      if (!Files.exists(path)) {
        throw e;
      }
      return LinuxFile.open(path, LinuxFile.Access.READ_WRITE);
    }
  }

  /// @param file of the lock; closed when this fails
  private static StateDirectory locked(Path directory, Folders folders, Path path, LinuxFile file)
      throws IOException {
    try {
      ImageLock.acquire(file, LinuxFile.Access.READ_WRITE); // held until the file is closed
      Files.writeString(
          path,
          ProcessHandle.current().pid() + "\n",
          StandardCharsets.US_ASCII,
          StandardOpenOption.TRUNCATE_EXISTING);
      JointCommit joint =
          JointCommit.open(folders.open(directory), () -> foldersWithNextList(directory));
      return new StateDirectory(directory, folders, file, joint);
    } catch (IOException | RuntimeException e) {
      try {
        file.close();
      } catch (IOException closing) {
        e.addSuppressed(closing);
      }
      if (e instanceof ImageInUseException) {
        throw new DiskBusyException(inUse(directory, path), e);
      }
      throw e;
    }
  }

  private static List<String> foldersWithNextList(Path directory) throws IOException {
    try (Stream<Path> folders = Files.list(directory)) {
      return folders
          .filter(folder -> Files.exists(folder.resolve(BitmapList.NEXT)))
          .map(folder -> String.valueOf(folder.getFileName()))
          .toList();
    } catch (UncheckedIOException e) {
      throw new IOException("cannot list " + directory, e);
    }
  }

  private static String inUse(Path directory, Path lock) {
    String holder;
    try {
      String text = Files.readString(lock, StandardCharsets.ISO_8859_1).strip();
      holder =
          text.matches("[0-9]{1,10}")
              ? "process " + text
              : "a process of which " + lock + " does not tell";
    } catch (IOException e) {
      holder = "another process";
    }
    return "state directory "
        + directory
        + " is in use by "
        + holder
        + ": stop it first, or give this server another --state";
  }

  /// Only its owner may look inside: names of disks and snapshots stand there.
  private static void makeFolder(Path folder) throws IOException {
    try {
      Files.createDirectory(
          folder,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
      FolderFiles.forceNames(folder.toAbsolutePath().resolve("..").normalize());
    } catch (FileAlreadyExistsException e) {
      if (!Files.isDirectory(folder)) {
        throw new IOException(folder + " is not a directory: give another --state", e);
      }
    } catch (NoSuchFileException e) {
      throw new IOException(
          "cannot make state directory " + folder + ": make its parent directory first", e);
    } catch (FileSystemException e) {
      throw new IOException(
          "cannot make state directory "
              + folder
              + ": "
              + Objects.requireNonNullElse(e.getReason(), "access denied")
              + ": give another --state",
          e);
    }
  }

  public Path path() {
    return directory;
  }

  /// Opens the state of a disk, or begins a new one.
  ///
  /// @param disk its name
  /// @param identity what the disk is now, asked again at the end
  /// @param workers for what must not wait on the caller's thread
  /// @param lost told, once, why bitmaps will not outlive the process
  public DiskState disk(String disk, DiskIdentity identity, Executor workers, Consumer<String> lost)
      throws IOException {
    String name = FolderName.of(disk);
    Path folder = directory.resolve(name);
    try {
      makeFolder(folder);
      FileDiskState state =
          FileDiskState.open(
              disk,
              folders.open(folder),
              identity,
              workers,
              new LinuxHost(),
              lost,
              joint.decided(name));
      joint.settled(name);
      opened.add(state);
      return state;
    } catch (IOException e) {
      throw new IOException(
          "cannot keep bitmaps of disk " + disk + " in " + folder + ": " + e.getMessage(), e);
    }
  }

  /// Replaces the lists of several disks, as [DiskState#commit] does that of one: after a failure,
  /// or a crash at any moment, either all the old lists hold or all the new ones. A disk that is
  /// not opened at the next start takes its new list over when it is.
  ///
  /// @param lists of states that this directory has opened
  public void commit(Map<DiskState, List<BitmapRecord>> lists) throws IOException {
    Map<FileDiskState, List<BitmapRecord>> ours = new LinkedHashMap<>();
    lists.forEach((state, records) -> ours.put((FileDiskState) state, records));
    joint.commit(ours);
  }

  /// Gives the lock back. States of disks are closed before.
  @Override
  public void close() throws IOException {
    heartbeats.shutdown();
    lockFile.close();
  }
}
