// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.server;

import io.nbdfleece.nbd.server.RawPeer.OptionAnswer;
import io.nbdfleece.nbd.wire.Nbd;
import io.netty.handler.ssl.JdkSslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import io.netty.handler.ssl.util.InsecureTrustManagerFactory;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.file.Path;
import java.util.Optional;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;

/// A client that speaks bytes over TCP, first plain ones, after [#startTls] encrypted ones. Trusts
/// any server.
final class SecurePeer implements AutoCloseable {
  private Socket socket;
  DataInputStream in;
  private OutputStream out;

  SecurePeer(int port) throws IOException {
    this(new Socket(InetAddress.getLoopbackAddress(), port));
  }

  private SecurePeer(Socket connected) throws IOException {
    socket = connected;
    in = new DataInputStream(socket.getInputStream());
    out = socket.getOutputStream();
  }

  /// Has little room for what it does not read.
  static SecurePeer narrow(int port) throws IOException {
    Socket socket = new Socket();
    socket.setReceiveBufferSize(4096);
    socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
    SecurePeer peer = new SecurePeer(socket);
    peer.greet();
    return peer;
  }

  static SecurePeer greeted(int port) throws IOException {
    SecurePeer peer = new SecurePeer(port);
    peer.greet();
    return peer;
  }

  void greet() throws IOException {
    in.readNBytes(18);
    send(RawPeer.bytes(flags -> flags.writeInt(3)));
  }

  void send(byte[]... parts) throws IOException {
    out.write(RawPeer.concat(parts));
    out.flush();
  }

  OptionAnswer ask(int option, byte[]... data) throws IOException {
    send(RawPeer.option(option, data));
    return optionReply();
  }

  OptionAnswer optionReply() throws IOException {
    return RawPeer.optionReply(in);
  }

  RawPeer.Answer reply(int dataBytes) throws IOException {
    return RawPeer.reply(in, dataBytes);
  }

  /// The last answer to NBD_OPT_GO.
  OptionAnswer go(String name) throws IOException {
    OptionAnswer answer = ask(Nbd.OPT_GO, RawPeer.go(name));
    while (answer.type() == Nbd.REP_INFO) {
      answer = optionReply();
    }
    return answer;
  }

  /// Asks for TLS and does its handshake.
  ///
  /// @param files with a client's certificate, or empty to show none
  SSLSocket startTls(String protocol, Optional<Path> files) throws IOException {
    OptionAnswer answer = ask(Nbd.OPT_STARTTLS);
    if (answer.type() != Nbd.REP_ACK) {
      throw new IOException("STARTTLS: " + Integer.toHexString(answer.type()));
    }
    return handshake(protocol, files);
  }

  /// @param groups for the exchange of keys; none for what the JDK offers
  SSLSocket handshake(String protocol, Optional<Path> files, String... groups) throws IOException {
    SslContextBuilder builder =
        SslContextBuilder.forClient()
            .sslProvider(SslProvider.JDK)
            .endpointIdentificationAlgorithm(null)
            .protocols(protocol)
            .trustManager(InsecureTrustManagerFactory.INSTANCE);
    files.ifPresent(
        directory ->
            builder.keyManager(
                directory.resolve("client-cert.pem").toFile(),
                directory.resolve("client-key.pem").toFile()));
    SSLSocket secure =
        (SSLSocket)
            ((JdkSslContext) builder.build())
                .context()
                .getSocketFactory()
                .createSocket(socket, "localhost", socket.getPort(), true);
    secure.setEnabledProtocols(new String[] {protocol});
    if (groups.length > 0) {
      SSLParameters parameters = secure.getSSLParameters();
      parameters.setNamedGroups(groups);
      secure.setSSLParameters(parameters);
    }
    secure.startHandshake();
    socket = secure;
    in = new DataInputStream(secure.getInputStream());
    out = secure.getOutputStream();
    return secure;
  }

  /// A half-close, as when the client has died.
  void endOutput() throws IOException {
    socket.shutdownOutput();
  }

  /// Whether the server has closed the connection.
  boolean atEnd() {
    try {
      int next = in.read();
      if (next >= 0) {
        throw new AssertionError("byte " + next + " instead of the end");
      }
    } catch (IOException reset) {
      return true;
    }
    return true;
  }

  @Override
  public void close() throws IOException {
    socket.close();
  }
}
