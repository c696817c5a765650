// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.fleecing.nbd;

import io.nbdfleece.cache.Completion;
import io.nbdfleece.fleecing.block.BlockExtent;
import io.nbdfleece.fleecing.block.BlockNode;
import io.nbdfleece.fleecing.block.ContextsCompletion;
import io.nbdfleece.fleecing.block.ExtentsCompletion;
import io.nbdfleece.fleecing.block.Mutation;
import io.nbdfleece.fleecing.block.NodeAbility;
import io.nbdfleece.fleecing.block.NotFastException;
import io.nbdfleece.nbd.Export;
import io.nbdfleece.nbd.Export.Durability;
import io.nbdfleece.nbd.Export.Zeroing;
import io.nbdfleece.nbd.ExportInfo;
import io.nbdfleece.nbd.ExportInfo.Ability;
import io.nbdfleece.nbd.client.RemoteExport;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/// A disk that another NBD server holds. What the server cannot do is done in another way, or is
/// not offered to the disk's guests either:
///
/// | server lacks | then |
/// |---|---|
/// | WRITE | the disk can be served read-only only |
/// | WRITE_ZEROES | zeroes are written, in pieces |
/// | TRIM | discards do nothing: they are hints |
/// | FUA | durable changes are followed by a flush |
/// | FLUSH | guests are offered none, and durable changes only with FUA: nothing is pretended |
/// | FAST_ZERO | guests are offered none |
/// | CACHE | hints do nothing |
/// | `base:allocation` | all is data |
///
/// **Errors.** The server's errors become EIO with the server's text, because the guest's request
/// was not at fault; only ENOSPC of a change stays what it is.
///
/// **Durability.** Once the server has failed a flush, or a durable change for another reason than
/// lack of room, every later one fails: the server may have dropped what it could not write, and a
/// later success would prove nothing. A server that could not be reached has not failed.
public final class NbdNode implements BlockNode {
  /// How long closing waits for the last flush.
  private static final long CLOSE_FLUSH_SECONDS = 10;

  private final Export upstream;
  private final Closeable whenClosed;
  private final ExportInfo info;
  private final Set<NodeAbility> abilities;
  private final List<String> contexts;
  private final UpstreamDurability durability = new UpstreamDurability();

  /// Changes since the last flush that succeeded, roughly: whether closing has to flush.
  private volatile boolean changed;

  /// @param remote is closed with this node
  public NbdNode(RemoteExport remote) {
    this(remote, remote::close);
  }

  /// @param upstream checked by nobody: ranges and alignment are kept to here, as [Export] says
  /// @param whenClosed is closed with this node
  public NbdNode(Export upstream, Closeable whenClosed) {
    this.upstream = upstream;
    this.whenClosed = whenClosed;
    this.info = upstream.info();
    this.abilities = abilities(info);
    this.contexts =
        info.metaContexts().stream()
            .filter(name -> !name.equals(ExportInfo.BASE_ALLOCATION))
            .toList();
  }

  private static Set<NodeAbility> abilities(ExportInfo info) {
    Set<NodeAbility> abilities = EnumSet.noneOf(NodeAbility.class);
    if (info.can(Ability.FLUSH)) {
      abilities.add(NodeAbility.FLUSH);
    }
    if (info.can(Ability.WRITE)) {
      abilities.add(NodeAbility.WRITE);
      if (info.can(Ability.FUA) || info.can(Ability.FLUSH)) {
        abilities.add(NodeAbility.DURABLE_WRITE);
      }
      if (info.can(Ability.FAST_ZERO) && info.can(Ability.WRITE_ZEROES)) {
        abilities.add(NodeAbility.FAST_ZERO);
      }
    }
    return abilities;
  }

  @Override
  public long sizeBytes() {
    return info.sizeBytes();
  }

  @Override
  public int blockBytes() {
    return info.minimumBlockBytes();
  }

  @Override
  public Set<NodeAbility> abilities() {
    return abilities;
  }

  @Override
  public List<String> contexts() {
    return contexts;
  }

  @Override
  public void read(long offsetBytes, ByteBuffer target, Completion done) {
    upstream.read(offsetBytes, target, UpstreamCompletions.asEio(done));
  }

  @Override
  public void apply(Mutation mutation, Completion done) {
    changed = true;
    boolean durable = mutation.durability() == Mutation.Durability.DURABLE;
    if (durable && durability.hasFailed()) {
      done.failed(durability.failure());
      return;
    }
    boolean byServer = durable && info.can(Ability.FUA);
    Durability asked = byServer ? Durability.DURABLE : Durability.CACHED;
    Completion end = done;
    if (byServer) {
      end = durability.watching(done);
    } else if (durable) {
      end = flushing(done);
    }
    switch (mutation) {
      case Mutation.Write write ->
          upstream.write(
              write.offsetBytes(), write.data(), asked, UpstreamCompletions.ofChange(end));
      case Mutation.Zero zero -> zero(zero, asked, end);
      case Mutation.Discard discard -> {
        if (info.can(Ability.TRIM)) {
          upstream.trim(
              discard.offsetBytes(),
              discard.lengthBytes(),
              asked,
              UpstreamCompletions.ofChange(end));
        } else {
          done.succeeded(); // a hint, and nothing has changed that could be made durable
        }
      }
    }
  }

  private void zero(Mutation.Zero zero, Durability asked, Completion done) {
    boolean fastOnly = zero.speed() == Mutation.Speed.FAST_ONLY;
    if (fastOnly && !abilities.contains(NodeAbility.FAST_ZERO)) {
      done.failed(new NotFastException("the upstream server does not offer fast zeroing"));
    } else if (info.can(Ability.WRITE_ZEROES)) {
      Zeroing zeroing =
          switch (zero.provisioning()) {
            case MAY_PUNCH -> fastOnly ? Zeroing.FAST_ONLY : Zeroing.MAY_PUNCH;
            case KEEP -> fastOnly ? Zeroing.FAST_ONLY_NO_HOLE : Zeroing.NO_HOLE;
          };
      upstream.writeZeroes(
          zero.offsetBytes(),
          zero.lengthBytes(),
          zeroing,
          asked,
          fastOnly ? UpstreamCompletions.ofFastZero(done) : UpstreamCompletions.ofChange(done));
    } else {
      ZeroWriting.start(
          upstream,
          zero.offsetBytes(),
          zero.lengthBytes(),
          asked,
          UpstreamCompletions.ofChange(done));
    }
  }

  /// Makes durable what has been changed before it completes.
  private Completion flushing(Completion done) {
    return new Completion() {
      @Override
      public void succeeded() {
        flush(done);
      }

      @Override
      public void failed(IOException error) {
        done.failed(error);
      }
    };
  }

  @Override
  public void flush(Completion done) {
    if (durability.hasFailed()) {
      done.failed(durability.failure());
    } else if (info.can(Ability.FLUSH)) {
      upstream.flush(UpstreamCompletions.asEio(durability.watching(done)));
    } else {
      done.succeeded(); // not offered to guests either
    }
  }

  @Override
  public void cache(long offsetBytes, long lengthBytes, Completion done) {
    if (info.can(Ability.CACHE)) {
      upstream.cache(offsetBytes, lengthBytes, UpstreamCompletions.asEio(done));
    } else {
      done.succeeded();
    }
  }

  @Override
  public void status(long offsetBytes, long lengthBytes, int extentsMax, ExtentsCompletion done) {
    if (!info.metaContexts().contains(ExportInfo.BASE_ALLOCATION)) {
      done.succeeded(List.of(new BlockExtent(lengthBytes, BlockExtent.State.DATA)));
      return;
    }
    upstream.blockStatus(
        offsetBytes,
        lengthBytes,
        List.of(ExportInfo.BASE_ALLOCATION),
        extentsMax,
        new UpstreamExtents(lengthBytes, blockBytes(), done));
  }

  /// Of `base:allocation` it says what [#status] says, with the server's own flags.
  @Override
  public void contextStatus(
      long offsetBytes,
      long lengthBytes,
      List<String> names,
      int extentsMax,
      ContextsCompletion done) {
    List<String> known = names.stream().filter(name -> info.metaContexts().contains(name)).toList();
    UpstreamContexts answer = new UpstreamContexts(lengthBytes, blockBytes(), names, done);
    if (known.isEmpty()) {
      answer.succeeded(List.of());
    } else {
      upstream.blockStatus(offsetBytes, lengthBytes, known, extentsMax, answer);
    }
  }

  /// Flushes when something was changed, waits for that a while, and lets go of the server.
  @Override
  public void close() throws IOException {
    try (whenClosed) {
      if (changed && info.can(Ability.WRITE)) {
        flushAndWait();
      }
    }
  }

  private void flushAndWait() throws IOException {
    CompletableFuture<Void> flushed = new CompletableFuture<>();
    flush(
        new Completion() {
          @Override
          public void succeeded() {
            flushed.complete(null);
          }

          @Override
          public void failed(IOException error) {
            flushed.completeExceptionally(error);
          }
        });
    try {
      flushed.get(CLOSE_FLUSH_SECONDS, TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw new IOException("the last flush failed: " + e.getMessage(), e);
    } catch (TimeoutException e) {
      throw new IOException(
          "the upstream server has not answered the last flush for "
              + CLOSE_FLUSH_SECONDS
              + " s; what was written last may not be durable",
          e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted while waiting for the last flush", e);
    }
  }
}
