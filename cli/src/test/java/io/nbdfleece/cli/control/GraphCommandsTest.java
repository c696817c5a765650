// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.Json;
import io.nbdfleece.fleecing.DiskConfig;
import io.nbdfleece.fleecing.EngineConfig;
import io.nbdfleece.fleecing.FleecingEngine;
import io.nbdfleece.fleecing.ServedDisk;
import io.nbdfleece.fleecing.block.DelayTimer;
import io.nbdfleece.fleecing.block.NullNode;
import io.nbdfleece.fleecing.block.ThrottleNode;
import io.nbdfleece.fleecing.graph.BlockGraph;
import io.nbdfleece.fleecing.graph.BlockGraph.Target;
import java.io.IOException;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// The commands on nodes, with a real engine behind them. The texts are those of QEMU 10.
@Timeout(30)
final class GraphCommandsTest {
  private static final long DISK_BYTES = 64 << 20;

  private final QmpCommands commands = new QmpCommands();
  private final DelayTimer.Threaded timer = DelayTimer.threaded("test-timer");
  private Fixture fixture = never();

  @TempDir Path directory = Path.of("");

  private record Fixture(FleecingEngine engine, BlockGraph graph, ControlTarget target) {}

  @SuppressWarnings("NullAway") // JUnit fills it before each test.
  private static Fixture never() {
    return null;
  }

  @BeforeEach
  void serveADisk() throws IOException {
    FleecingEngine engine =
        FleecingEngine.open(new EngineConfig(65536, 16 << 20, directory, 16 << 20, 4));
    var _ =
        engine.addDisk(
            new DiskConfig("vda", "test", DiskConfig.Access.READ_WRITE),
            new NullNode(DISK_BYTES, NullNode.Content.ZEROES, 0, timer));
    BlockGraph graph =
        new BlockGraph(
            engine,
            source -> {
              throw new IOException("no server in this test");
            },
            node -> false);
    ControlTarget target =
        (ControlTarget)
            Proxy.newProxyInstance(
                ControlTarget.class.getClassLoader(),
                new Class<?>[] {ControlTarget.class},
                (proxy, method, arguments) -> {
                  if (method.getName().equals("graph")) {
                    return graph;
                  }
                  throw new UnsupportedOperationException(method.getName());
                });
    fixture = new Fixture(engine, graph, target);
  }

  @AfterEach
  void stop() throws IOException {
    fixture.graph().close();
    fixture.engine().close();
    timer.close();
  }

  private JsonNode run(String command, String arguments) throws IOException {
    QmpCommand found = commands.find(command).orElseThrow();
    JsonNode parsed = Json.parse(arguments.replace("DIR", directory.toString()).getBytes(UTF_8));
    if (!(parsed instanceof ObjectNode object)) {
      throw new IllegalArgumentException(arguments);
    }
    return found.execute(new QmpArguments(object, found.arguments()), fixture.target());
  }

  private void image(String name) throws IOException {
    Files.write(directory.resolve(name), new byte[1 << 20]);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "{'driver':'file','filename':'DIR/a.img'}"
            + "|'node-name' must be specified for the root node",
        "{'driver':'file','node-name':'y'}|Parameter 'filename' is missing",
        "{'driver':'file','node-name':'y','filename':7}"
            + "|Invalid parameter type for 'filename', expected: string",
        "{'driver':'file','node-name':'y','filename':'x','foo':1}|Parameter 'foo' is unexpected",
        "{'driver':'file','node-name':'y','filename':'x','size':1}|Parameter 'size' is unexpected",
        "{'driver':'qcow2','node-name':'y'}|Parameter 'driver' does not accept value 'qcow2'",
        "{'node-name':'y'}|Parameter 'driver' is missing",
        "{'driver':'raw','node-name':'y'}|Parameter 'file' is missing",
        "{'driver':'raw','node-name':'y','file':7}"
            + "|Invalid parameter type for 'file', expected: BlockdevRef",
        "{'driver':'raw','node-name':'y','file':{'driver':'file'}}"
            + "|Parameter 'file.filename' is missing",
        "{'driver':'raw','node-name':'y','file':{'driver':'file','filename':'x','foo':1}}"
            + "|Parameter 'file.foo' is unexpected",
        "{'driver':'raw','node-name':'y','file':'zzz'}"
            + "|Cannot find device='zzz' nor node-name='zzz'",
        "{'driver':'raw','node-name':'y','file':'vda','offset':5}"
            + "|Parameter 'offset' is unexpected",
        "{'driver':'null-co','node-name':'vda'}|Duplicate nodes with node-name='vda'",
        "{'driver':'null-co','node-name':'n','size':-1}" + "|Parameter 'size' expects uint64",
        "{'driver':'null-co','node-name':'n','read-only':7}"
            + "|Invalid parameter type for 'read-only', expected: boolean",
        "{'driver':'null-co','node-name':'n','discard':'foo'}"
            + "|Parameter 'discard' does not accept value 'foo'",
        "{'driver':'null-co','node-name':'n','detect-zeroes':'maybe'}"
            + "|Parameter 'detect-zeroes' does not accept value 'maybe'",
        "{'driver':'null-co','node-name':'n','detect-zeroes':'unmap'}"
            + "|setting detect-zeroes to unmap is not allowed without setting discard operation to"
            + " unmap",
        "{'driver':'null-co','node-name':'n','detect-zeroes':'unmap','discard':'ignore'}"
            + "|setting detect-zeroes to unmap is not allowed without setting discard operation to"
            + " unmap",
        "{'driver':'file','node-name':'n','filename':'x','aio':'native'}"
            + "|aio=native was specified, but it requires cache.direct=on, which was not"
            + " specified.",
        "{'driver':'file','node-name':'n','filename':'x','aio':'native','cache':{'direct':false}}"
            + "|aio=native was specified, but it requires cache.direct=on, which was not"
            + " specified.",
        "{'driver':'file','node-name':'n','filename':'x','aio':'fast'}"
            + "|Parameter 'aio' does not accept value 'fast'",
        "{'driver':'file','node-name':'n','filename':'x','locking':'off'}"
            + "|Parameter 'locking' does not accept value 'off'",
        "{'driver':'null-co','node-name':'n','aio':'threads'}|Parameter 'aio' is unexpected",
        "{'driver':'null-co','node-name':'n','cache':{'direct':false,'no-flush':'x'}}"
            + "|Invalid parameter type for 'cache.no-flush', expected: boolean",
        "{'driver':'copy-before-write','node-name':'c','file':'vda'}"
            + "|Parameter 'target' is missing",
        "{'driver':'copy-before-write','node-name':'c','file':'vda','target':'vda',"
            + "'bitmap':{'name':'b'}}|Parameter 'bitmap.node' is missing",
        "{'driver':'copy-before-write','node-name':'c','file':'vda','target':'vda',"
            + "'on-cbw-error':'foo'}|Parameter 'on-cbw-error' does not accept value 'foo'",
        "{'driver':'throttle','node-name':'t','file':'vda','throttle-group':'nope'}"
            + "|Throttle group 'nope' does not exist",
        "{'driver':'nbd','node-name':'nb'}|Parameter 'server' is missing",
        "{'driver':'nbd','node-name':'nb','server':'foo'}"
            + "|Invalid parameter type for 'server', expected: object",
        "{'driver':'nbd','node-name':'nb','server':{'type':'unix'}}"
            + "|Parameter 'server.path' is missing",
        "{'driver':'nbd','node-name':'nb','server':{'type':'inet','host':'h','port':'x'}}"
            + "|Parameter 'server.port' does not accept value 'x'",
        "{'driver':'nbd','node-name':'nb','server':{'type':'unix','path':'/s'}}"
            + "|no server in this test",
      })
  void nodesThatCannotBeAddedAreRefused(String arguments, String message) {
    assertEquals(
        message, assertThrows(Exception.class, () -> run("blockdev-add", arguments)).getMessage());
    assertEquals(1, fixture.graph().nodes().size());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "'aio':'threads'",
        "'aio':'native','cache':{'direct':true,'no-flush':false}",
        "'aio':'io_uring'",
        "'cache':{'direct':true}",
        "'cache':{'direct':false,'no-flush':true}",
        "'discard':'ignore','detect-zeroes':'on'",
        "'discard':'unmap','detect-zeroes':'unmap'",
        "'detect-zeroes':'off'",
        "'auto-read-only':true,'read-only':true",
        "'locking':'on'",
        "'locking':'auto'",
      })
  void whatLibvirtSaysOfFilesIsTakenAsAHint(String options) throws IOException {
    image("a.img");
    assertTrue(
        run(
                "blockdev-add",
                "{'driver':'file','node-name':'n','filename':'DIR/a.img'," + options + "}")
            .isEmpty());
    assertTrue(run("blockdev-del", "{'node-name':'n'}").isEmpty());
  }

  @Test
  void nodesInsideOfNodesAreAdded() throws IOException {
    image("a.img");
    JsonNode _ =
        run("object-add", "{'qom-type':'throttle-group','id':'tg','limits':{'iops-total':9}}");
    JsonNode answer =
        run(
            "blockdev-add",
            "{'driver':'throttle','node-name':'t','throttle-group':'tg','file':{'driver':'raw',"
                + "'node-name':'r','read-only':false,'discard':'unmap','file':{'driver':'file',"
                + "'filename':'DIR/a.img','cache':{'direct':false},'locking':'auto'}}}");
    assertTrue(answer.isEmpty());
    assertEquals(Optional.of(new Target.LiveDisk("t")), fixture.graph().find("r"));
    assertEquals(1 << 20, fixture.engine().disk("t").orElseThrow().sizeBytes());
  }

  @Test
  void theSequenceOfAPullBackupTakesASnapshotOfTheLiveDisk() throws IOException {
    JsonNode _ = run("blockdev-add", "{'driver':'null-co','node-name':'scratch','size':67108864}");
    JsonNode _ =
        run(
            "blockdev-add",
            "{'driver':'copy-before-write','node-name':'cbw','file':'vda','target':'scratch',"
                + "'on-cbw-error':'break-snapshot','cbw-timeout':45}");
    JsonNode _ = run("blockdev-add", "{'driver':'snapshot-access','node-name':'sa','file':'cbw'}");
    assertTrue(fixture.engine().snapshots().isEmpty());
    JsonNode _ =
        run(
            "qom-set",
            "{'path':'/machine/peripheral/vda/virtio-backend','property':'drive','value':'cbw'}");
    assertEquals("cbw", run("qom-get", "{'path':'vda','property':'drive'}").asString());
    assertEquals(1, fixture.engine().snapshots().size());
    assertEquals(Optional.of(new Target.FrozenDisk("cbw", "vda")), fixture.graph().find("sa"));
    JsonNode _ =
        run("blockdev-replace", "{'parent-type':'qdev','qdev-id':'vda','new-child':'vda'}");
    assertTrue(fixture.engine().snapshots().isEmpty());
    JsonNode _ = run("blockdev-del", "{'node-name':'sa'}");
    JsonNode _ = run("blockdev-del", "{'node-name':'cbw'}");
  }

  @Test
  void aThrottleStandsOnTopOfTheHookOnceTheDeviceStandsOnIt() throws IOException {
    JsonNode _ =
        run("object-add", "{'qom-type':'throttle-group','id':'tg','limits':{'iops-total':9}}");
    JsonNode _ =
        run(
            "blockdev-add",
            "{'driver':'throttle','node-name':'t','throttle-group':'tg','file':'vda'}");
    ServedDisk disk = fixture.engine().disk("vda").orElseThrow();
    assertSame(disk.hook(), disk.top());
    JsonNode _ = run("qom-set", "{'path':'vda','property':'drive','value':'t'}");
    assertInstanceOf(ThrottleNode.class, disk.top());
    JsonNode _ = run("qom-set", "{'path':'vda','property':'drive','value':'vda'}");
    assertSame(disk.hook(), disk.top());
  }

  @Test
  void unchangedOptionsReopen() throws IOException {
    String options = "{'driver':'null-co','node-name':'n','size':5,'read-zeroes':true}";
    JsonNode _ = run("blockdev-add", options);
    JsonNode _ = run("blockdev-reopen", "{'options':[" + options + "]}");
    assertEquals(
        "Cannot change the option 'size'",
        assertThrows(
                IOException.class,
                () -> run("blockdev-reopen", "{'options':[" + options.replace("5", "6") + "]}"))
            .getMessage());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "object-add|{'qom-type':'throttle-group'}|Parameter 'id' is missing",
        "object-add|{'qom-type':'foo','id':'x'}|Parameter 'qom-type' does not accept value 'foo'",
        "object-add|{'id':'x'}|Parameter 'qom-type' is missing",
        "object-add|{'qom-type':'throttle-group','id':'1x'}|Parameter 'id' expects an identifier",
        "object-add|{'qom-type':'throttle-group','id':'x','foo':1}|Parameter 'foo' is unexpected",
        "object-add|{'qom-type':'throttle-group','id':'x','limits':{'foo':1}}"
            + "|Parameter 'limits.foo' is unexpected",
        "object-add|{'qom-type':'throttle-group','id':'x','x-bps-total':-20}"
            + "|Property values cannot be negative",
        "object-add|{'qom-type':'throttle-group','id':'x','x-bps-total':'a'}"
            + "|Invalid parameter type for 'x-bps-total', expected: integer",
        "object-add|{'qom-type':'throttle-group','id':'tg'}"
            + "|attempt to add duplicate property 'tg' to object (type 'container')",
        "object-del|{'id':'nope'}|object 'nope' not found",
        "qom-set|{'path':'tg','property':'limits','value':7}"
            + "|Invalid parameter type for 'limits', expected: object",
        "qom-set|{'path':'tg','property':'x-iops-total','value':7}"
            + "|Property cannot be set after initialization",
        "qom-set|{'path':'tg','property':'foo','value':7}"
            + "|Property 'throttle-group.foo' not found",
        "qom-set|{'path':'vda','property':'foo','value':7}"
            + "|Property 'nbdfleece-disk.foo' not found",
        "qom-set|{'path':'vda','property':'drive','value':7}"
            + "|Invalid parameter type for 'drive', expected: string",
        "qom-set|{'path':'vda','property':'drive','value':'x'}"
            + "|Cannot find device='' nor node-name='x'",
        "qom-get|{'path':'/objects/tg9','property':'foo'}|Device '/objects/tg9' not found",
        "qom-list|{'path':'/nope'}|Device '/nope' not found",
        "blockdev-del|{'node-name':'nope'}|Failed to find node with node-name='nope'",
        "blockdev-del|{'node-name':'vda'}|Node vda is in use",
        "blockdev-reopen|{'options':[{'driver':'null-co'}]}|node-name not specified",
        "blockdev-reopen|{'options':[{'driver':'file','node-name':'b'}]}"
            + "|Parameter 'options[0].filename' is missing",
        "blockdev-replace|{'parent-type':'export','qdev-id':'a','new-child':'b'}"
            + "|Parameter 'parent-type' does not accept value 'export'",
        "blockdev-replace|{'parent-type':'qdev','qdev-id':'a','new-child':'b'}"
            + "|Device 'a' not found",
        "backup-access-setup|{'target-id':'t'}|Parameter 'devices' is missing",
        "backup-access-setup|{'target-id':'t','devices':[{'device':'x','bitmap-mode':'foo'}]}"
            + "|Parameter 'bitmap-mode' does not accept value 'foo'",
        "backup-access-setup|{'target-id':'t','devices':[{'device':'x'}]}|Device 'x' not found",
        "backup-access-teardown|{'target-id':'t'}|Parameter 'success' is missing",
      })
  void commandsThatCannotBeDoneAreRefused(String command, String arguments, String message)
      throws IOException {
    JsonNode _ = run("object-add", "{'qom-type':'throttle-group','id':'tg'}");
    assertEquals(
        message, assertThrows(Exception.class, () -> run(command, arguments)).getMessage());
  }

  @Test
  void limitsOfAThrottleGroupCanBeReadAndChanged() throws IOException {
    JsonNode _ = run("object-add", "{'qom-type':'throttle-group','id':'tg','x-iops-total':100}");
    JsonNode _ =
        run("qom-set", "{'path':'/objects/tg','property':'limits','value':{'bps-total':5}}");
    JsonNode limits = run("qom-get", "{'path':'tg','property':'limits'}");
    assertEquals(5, limits.path("bps-total").asInt());
    assertEquals(100, limits.path("iops-total").asInt());
    assertEquals(1, limits.path("iops-read-max-length").asInt());
    assertEquals(5, run("qom-get", "{'path':'tg','property':'x-bps-total'}").asInt());
    assertEquals(
        "[{\"name\":\"type\",\"type\":\"string\"},"
            + "{\"name\":\"tg\",\"type\":\"child<throttle-group>\"}]",
        Json.line(run("qom-list", "{'path':'/objects'}")));
    JsonNode _ = run("object-del", "{'id':'tg'}");
  }

  @Test
  void tearingDownWhatWasNotSetUpDoesNothing() throws IOException {
    assertTrue(run("backup-access-teardown", "{'target-id':'t','success':true}").isEmpty());
  }
}
