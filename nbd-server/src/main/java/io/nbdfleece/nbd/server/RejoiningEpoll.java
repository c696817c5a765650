// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.netty.channel.IoHandle;
import io.netty.channel.IoHandler;
import io.netty.channel.IoHandlerContext;
import io.netty.channel.IoHandlerFactory;
import io.netty.channel.IoOps;
import io.netty.channel.IoRegistration;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollIoOps;
import io.netty.util.concurrent.ThreadAwareExecutor;
import java.util.concurrent.Semaphore;

/// Netty's epoll, for channels that wait for nothing now and then. Used on one event loop.
///
/// A half-closed connection has nothing more to read, and while its socket takes all replies it
/// does not wait to write either. Netty 4.2.18 then removes it from the epoll set, and when a reply
/// finds the socket full asks the kernel to modify what is not there any more: ENOENT, the output
/// is shut down, and all replies that wait are lost. Here such a channel joins anew.
final class RejoiningEpoll implements IoHandler {
  private final IoHandler epoll;
  private final BriefSpin spin;

  private RejoiningEpoll(IoHandler epoll, Semaphore spinners) {
    this.epoll = epoll;
    this.spin = new BriefSpin(epoll, spinners, System::nanoTime);
  }

  static IoHandlerFactory factory() {
    IoHandlerFactory factory = EpollIoHandler.newFactory();
    // Clients need processors, too.
    Semaphore spinners = new Semaphore(Runtime.getRuntime().availableProcessors() / 2);
    return new IoHandlerFactory() {
      @Override
      public IoHandler newHandler(ThreadAwareExecutor executor) {
        return new RejoiningEpoll(factory.newHandler(executor), spinners);
      }

      @Override
      public boolean isChangingThreadSupported() {
        return factory.isChangingThreadSupported();
      }
    };
  }

  @Override
  public void initialize() {
    epoll.initialize();
  }

  @Override
  public int run(IoHandlerContext context) {
    return spin.run(context);
  }

  @Override
  public void prepareToDestroy() {
    epoll.prepareToDestroy();
  }

  @Override
  public void destroy() {
    epoll.destroy();
  }

  @Override
  public IoRegistration register(IoHandle handle) throws Exception {
    return new Membership(handle, epoll.register(handle));
  }

  @Override
  public void wakeup() {
    epoll.wakeup();
  }

  @Override
  public boolean isCompatible(Class<? extends IoHandle> handleType) {
    return epoll.isCompatible(handleType);
  }

  private final class Membership implements IoRegistration {
    private final IoHandle handle;
    private IoRegistration registration;
    private boolean removed;

    Membership(IoHandle handle, IoRegistration registration) {
      this.handle = handle;
      this.registration = registration;
    }

    @Override
    @SuppressWarnings("TypeParameterUnusedInFormals") // as Netty has it
    public <T> T attachment() {
      return registration.attachment();
    }

    @Override
    public long submit(IoOps ops) {
      boolean nothing = ops.equals(EpollIoOps.NONE);
      if (removed && registration.isValid()) {
        if (nothing) {
          return 0;
        }
        rejoin();
      }
      removed = nothing;
      return registration.submit(ops);
    }

    private void rejoin() {
      registration.cancel();
      try {
        registration = epoll.register(handle);
      } catch (Exception e) {
        throw new IllegalStateException("epoll: cannot register again", e);
      }
    }

    @Override
    public boolean isValid() {
      return registration.isValid();
    }

    @Override
    public boolean cancel() {
      return registration.cancel();
    }
  }
}
