// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.EngineConfig;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.graph.BlockGraph;
import io.nbdfleece.fleecing.graph.BlockGraph.Target;
import io.nbdfleece.fleecing.graph.NodeSpec;
import io.nbdfleece.fleecing.nbd.EngineExports;
import io.nbdfleece.nbd.server.NbdServer;
import io.nbdfleece.nbd.server.ServerConfig;
import io.nbdfleece.nbd.server.ServerLimits;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/// `blockdev-add` of an `nbd` node, over a real socket.
@Timeout(60)
final class GraphUpstreamsTest {
  private static final int DISK_BYTES = 1 << 20;

  @TempDir Path directory = Path.of("");

  private FleecingEngine engine() throws IOException {
    return FleecingEngine.open(new EngineConfig(65536, 4 << 20, directory, 4 << 20, 4));
  }

  private NodeSpec node(Optional<Boolean> readOnly, String export) {
    return new NodeSpec(
        Optional.of("n"),
        readOnly,
        false,
        new NodeSpec.Driver.NbdBackend(
            new NodeSpec.NbdSource(
                new NodeSpec.Server.Unix(directory.resolve("nbd.sock")),
                export,
                Duration.ofSeconds(1))));
  }

  private NbdServer serve(FleecingEngine upstream, DiskConfig.Access access) throws IOException {
    Path image = Files.write(directory.resolve("vda.img"), new byte[DISK_BYTES]);
    var _ = upstream.addDisk(new DiskConfig("vda", image.toString(), access));
    return NbdServer.start(
        new ServerConfig(
            List.of(new ServerConfig.Listen.Unix(directory.resolve("nbd.sock"))),
            ServerLimits.defaults()),
        new EngineExports(upstream));
  }

  @Test
  void anExportOfAnotherServerBecomesADisk() throws IOException {
    try (FleecingEngine upstream = engine();
        FleecingEngine engine = engine();
        BlockGraph graph = new BlockGraph(engine, new GraphUpstreams(), node -> false)) {
      NbdServer server = serve(upstream, DiskConfig.Access.READ_WRITE);
      graph.add(node(Optional.empty(), "vda"));
      assertEquals(Optional.of(new Target.LiveDisk("n")), graph.find("n"));
      assertEquals(DISK_BYTES, engine.disk("n").orElseThrow().sizeBytes());
      assertEquals(
          "nbd+unix:///vda?socket=" + directory.resolve("nbd.sock"),
          graph.nodes().getLast().filename());
      server.close(Duration.ofSeconds(1));
    }
  }

  @Test
  void anExportThatCannotBeWrittenMustBeAddedReadOnly() throws IOException {
    try (FleecingEngine upstream = engine();
        FleecingEngine engine = engine();
        BlockGraph graph = new BlockGraph(engine, new GraphUpstreams(), node -> false)) {
      NbdServer server = serve(upstream, DiskConfig.Access.READ_ONLY);
      IOException refused =
          assertThrows(IOException.class, () -> graph.add(node(Optional.empty(), "vda")));
      assertTrue(String.valueOf(refused.getMessage()).startsWith("request for write access"));
      graph.add(node(Optional.of(true), "vda"));
      assertTrue(graph.isReadOnly("n"));
      server.close(Duration.ofSeconds(1));
    }
  }

  @Test
  void nothingIsAddedWhenThereIsNoServer() throws IOException {
    try (FleecingEngine engine = engine();
        BlockGraph graph = new BlockGraph(engine, new GraphUpstreams(), node -> false)) {
      assertFalse(
          String.valueOf(
                  assertThrows(IOException.class, () -> graph.add(node(Optional.empty(), "vda")))
                      .getMessage())
              .isEmpty());
      assertTrue(graph.nodes().isEmpty());
    }
  }
}
