// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static io.nbdfleece.cli.control.schema.QmpType.Builtin.STRING;
import static io.nbdfleece.cli.control.schema.QmpType.Builtin.UINT32;

import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.cli.control.schema.QmpType;
import io.nbdfleece.cli.control.schema.QmpType.Member;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/// `nbd-server-start`: shows the exports of `block-export-add`, and only those, at one more
/// address.
///
/// - `addr`: `{type: unix, data: {path}}` or `{type: inet, data: {host, port}}`
/// - `handshake-max-seconds`: for a client to open an export; 10 when absent, 0 = no limit
/// - `tls-creds`: any id: clients must encrypt, with the credentials that `serve` was given
/// - `max-connections`: 100 when absent, 0 = no limit
final class NbdServerStart implements QmpCommand {
  private static final QmpType.Struct ADDRESS =
      new QmpType.Struct(
          "SocketAddressLegacy",
          List.of(
              Member.of(
                  "type", new QmpType.Enumeration("SocketAddressType", List.of("inet", "unix")))),
          Optional.of(
              new QmpType.Variants(
                  "type",
                  Map.of(
                      "inet",
                      wrapper(
                          "InetSocketAddress",
                          Member.of("host", STRING),
                          Member.of("port", STRING)),
                      "unix",
                      wrapper("UnixSocketAddress", Member.of("path", STRING))))));
  private static final QmpType.Struct ARGUMENTS =
      new QmpType.Struct(
          "NbdServerOptionsLegacy",
          List.of(
              Member.optional("handshake-max-seconds", UINT32),
              Member.optional("tls-creds", STRING),
              Member.optional("max-connections", UINT32),
              Member.of("addr", ADDRESS)));

  private static final long UINT32_MAX = 0xffff_ffffL;
  private static final int HANDSHAKE_SECONDS_DEFAULT = 10;
  private static final int CONNECTIONS_DEFAULT = 100;
  private static final int PORT_MAX = 65_535;

  private static QmpType.Struct wrapper(String name, Member... members) {
    return new QmpType.Struct(
        name + "Wrapper", List.of(Member.of("data", new QmpType.Struct(name, List.of(members)))));
  }

  @Override
  public String name() {
    return "nbd-server-start";
  }

  @Override
  public QmpType.Struct arguments() {
    return ARGUMENTS;
  }

  @Override
  public JsonNode execute(QmpArguments arguments, ControlTarget target) throws IOException {
    QmpArguments address = arguments.object("addr");
    QmpArguments data = address.object("data");
    boolean isUnix = address.string("type").equals("unix");
    long connections =
        arguments.optionalInteger("max-connections", 0, UINT32_MAX).orElse(CONNECTIONS_DEFAULT);
    target
        .nbd()
        .start(
            new ControlTarget.NbdAddress(
                isUnix ? Optional.of(Path.of(data.string("path"))) : Optional.empty(),
                isUnix ? Optional.empty() : Optional.of(inet(data)),
                (int) Math.min(Integer.MAX_VALUE, connections),
                Duration.ofSeconds(
                    arguments
                        .optionalInteger("handshake-max-seconds", 0, UINT32_MAX)
                        .orElse(HANDSHAKE_SECONDS_DEFAULT)),
                arguments.optionalString("tls-creds").isPresent()));
    return Json.object();
  }

  private static InetSocketAddress inet(QmpArguments data) throws QmpException {
    String host = data.string("host");
    String port = data.string("port");
    if (!port.matches("[0-9]{1,5}") || Integer.parseInt(port) > PORT_MAX) {
      throw unresolved(host, port, "the port is no number up to " + PORT_MAX);
    }
    try {
      return host.isEmpty()
          ? new InetSocketAddress(Integer.parseInt(port))
          : new InetSocketAddress(InetAddress.getByName(host), Integer.parseInt(port));
    } catch (UnknownHostException e) {
      throw unresolved(host, port, "Name or service not known");
    }
  }

  private static QmpException unresolved(String host, String port, String reason) {
    return QmpException.generic(
        "address resolution failed for " + host + ":" + port + ": " + reason, ExitCode.USAGE);
  }
}
