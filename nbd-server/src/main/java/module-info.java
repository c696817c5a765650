// SPDX-License-Identifier: Apache-2.0
/// The NBD protocol: server, client, and the SPI that a server serves.
module io.nbdfleece.nbd {
  requires static com.google.errorprone.annotations;
  requires static org.jspecify;
  requires io.netty.buffer;
  requires io.netty.codec;
  requires io.netty.common;
  requires io.netty.handler;
  requires io.netty.transport;
  requires io.netty.transport.classes.epoll;
  requires io.netty.transport.unix.common;
  requires org.bouncycastle.provider;
  requires org.bouncycastle.tls;
  requires org.bouncycastle.util;

  exports io.nbdfleece.nbd;
  exports io.nbdfleece.nbd.client;
  exports io.nbdfleece.nbd.server;
}
