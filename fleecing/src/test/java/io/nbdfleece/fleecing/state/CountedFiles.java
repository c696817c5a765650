// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.state;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;

/// The files of a state directory, real ones, of whose every call somebody is told before it is
/// made, and may make it fail.
public final class CountedFiles implements StateFiles {
  private final StateFiles files;
  private final Calls calls;

  /// Any thread.
  public interface Calls {
    void meet(String call) throws IOException;
  }

  private CountedFiles(StateFiles files, Calls calls) {
    this.files = files;
    this.calls = calls;
  }

  /// A state directory; each call is told with the folder's name.
  public static StateDirectory directory(Path path, Calls calls) throws IOException {
    return StateDirectory.open(
        path,
        folder ->
            new CountedFiles(
                new FolderFiles(folder), call -> calls.meet(call + " of " + folder.getFileName())));
  }

  /// What tells a disk, counted likewise.
  public static DiskIdentity identity(String disk, DiskIdentity identity, Calls calls) {
    return new Identity(identity, call -> calls.meet(call + " " + disk));
  }

  private record Identity(DiskIdentity of, Calls calls) implements DiskIdentity {
    @Override
    public long sizeBytes() {
      return of.sizeBytes();
    }

    @Override
    public String identity() throws IOException {
      calls.meet("identify");
      return of.identity();
    }

    @Override
    public String stamp() throws IOException {
      calls.meet("stamp");
      return of.stamp();
    }

    @Override
    public OptionalLong modifiedEpochNanos() throws IOException {
      return of.modifiedEpochNanos();
    }

    @Override
    public void sync() throws IOException {
      calls.meet("sync");
      of.sync();
    }
  }

  @Override
  public List<String> names() throws IOException {
    calls.meet("list");
    return files.names();
  }

  @Override
  public byte[] read(String name, long bytesMax) throws IOException {
    calls.meet("read " + name);
    return files.read(name, bytesMax);
  }

  @Override
  public void write(String name, byte[] content) throws IOException {
    calls.meet("write " + name);
    files.write(name, content);
  }

  @Override
  public MappedFile createMapped(String name, long sizeBytes, byte[] head) throws IOException {
    calls.meet("create " + name);
    return counted(name, files.createMapped(name, sizeBytes, head));
  }

  @Override
  public MappedFile map(String name, long sizeBytes) throws IOException {
    calls.meet("map " + name);
    return counted(name, files.map(name, sizeBytes));
  }

  private MappedFile counted(String name, MappedFile file) {
    return new MappedFile() {
      @Override
      public MemorySegment memory() {
        return file.memory();
      }

      @Override
      public void force() throws IOException {
        calls.meet("force " + name);
        file.force();
      }

      @Override
      public void close() {
        file.close();
      }
    };
  }

  @Override
  public PatchedFile patch(String name) throws IOException {
    calls.meet("open " + name);
    PatchedFile file = files.patch(name);
    return new PatchedFile() {
      @Override
      public void write(long offsetBytes, byte[] content) throws IOException {
        calls.meet("patch " + name);
        file.write(offsetBytes, content);
      }

      @Override
      public void force() throws IOException {
        calls.meet("force " + name);
        file.force();
      }

      @Override
      public void close() throws IOException {
        file.close();
      }
    };
  }

  @Override
  public void rename(String from, String to) throws IOException {
    calls.meet("rename " + from);
    files.rename(from, to);
  }

  @Override
  public void delete(String name) throws IOException {
    calls.meet("delete " + name);
    files.delete(name);
  }

  @Override
  public void forceNames() throws IOException {
    calls.meet("force names");
    files.forceNames();
  }
}
