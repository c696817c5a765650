// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.nbd.client;

import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.nbd.NbdUri;
import io.nbdfleece.nbd.tls.TestAuthority;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// A server that ends TLS and leaves the socket open, as nbdkit does until the client has ended it,
/// too: nothing will ever come from it.
@Timeout(60)
final class TlsGoodbyeTest {
  private static final char[] NO_PASSWORD = {};
  private static final byte[] GREETING =
      ScriptedServer.bytes().text("NBDMAGICIHAVEOPT").u16(3).array();

  @TempDir private Path directory;
  private final TestAuthority authority = new TestAuthority("ca");

  private SSLContext context() throws Exception {
    TestAuthority.Issued own = authority.issue("server", "localhost", "127.0.0.1");
    KeyStore keys = KeyStore.getInstance("PKCS12");
    keys.load(null, null);
    keys.setKeyEntry("own", own.key(), NO_PASSWORD, new Certificate[] {own.certificate()});
    KeyManagerFactory managers =
        KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
    managers.init(keys, NO_PASSWORD);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(managers.getKeyManagers(), null, null);
    return context;
  }

  /// One connection: up to the first request, which is not answered but with the goodbye.
  private static void serve(Socket socket, SSLContext context, String protocol) throws IOException {
    DataInputStream plain = new DataInputStream(socket.getInputStream());
    socket.getOutputStream().write(GREETING);
    plain.readInt();
    option(plain);
    socket.getOutputStream().write(ScriptedServer.optionReply(5, 1, new byte[0]));
    SSLSocket secure =
        (SSLSocket) context.getSocketFactory().createSocket(socket, "client", 0, false);
    secure.setUseClientMode(false);
    secure.setEnabledProtocols(new String[] {protocol});
    DataInputStream in = new DataInputStream(secure.getInputStream());
    OutputStream out = secure.getOutputStream();
    int option = option(in);
    while (option != 7) {
      out.write(ScriptedServer.optionReply(option, 0x80000001, new byte[0]));
      option = option(in);
    }
    out.write(ScriptedServer.exportInfo(1 << 20, 1));
    out.write(ScriptedServer.optionReply(7, 1, new byte[0]));
    in.readNBytes(28);
    secure.shutdownOutput();
    while (plain.read() >= 0) {
      // until the client closes
    }
  }

  private static int option(DataInputStream in) throws IOException {
    in.readLong();
    int option = in.readInt();
    in.readNBytes(in.readInt());
    return option;
  }

  @ParameterizedTest
  @ValueSource(strings = {"TLSv1.2", "TLSv1.3"})
  void requestsInFlightFail(String protocol) throws Exception {
    SSLContext context = context();
    authority.clientDirectory(directory, "client");
    CompletableFuture<Void> clientClosed = new CompletableFuture<>();
    try (ServerSocket listener = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      Thread.ofPlatform()
          .daemon()
          .start(
              () -> {
                try (Socket socket = listener.accept()) {
                  serve(socket, context, protocol);
                  clientClosed.complete(null);
                } catch (IOException e) {
                  clientClosed.completeExceptionally(e);
                }
              });
      NbdUri uri =
          NbdUri.parse(
              "nbds://127.0.0.1:"
                  + listener.getLocalPort()
                  + "/disk?tls-certificates="
                  + directory);
      NbdClient client = NbdClient.connect(uri, ClientOptions.defaults());
      CompletableFuture<Void> read = client.read(0, ByteBuffer.allocateDirect(512));
      ExecutionException failed =
          assertThrows(ExecutionException.class, () -> read.get(30, TimeUnit.SECONDS));
      String text = assertInstanceOf(IOException.class, failed.getCause()).toString();
      assertTrue(text.contains("the server closed the connection with 1 requests"), text);
      clientClosed.get(30, TimeUnit.SECONDS);
    }
  }
}
