// SPDX-License-Identifier: Apache-2.0
package io.nbdfleece.cli.control;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.nbdfleece.cli.base.ExitCode;
import io.nbdfleece.cli.base.Json;
import io.nbdfleece.fleecing.TransactionAction.Abort;
import io.nbdfleece.fleecing.TransactionAction.AddBitmap;
import io.nbdfleece.fleecing.TransactionAction.ClearBitmap;
import io.nbdfleece.fleecing.TransactionAction.DisableBitmap;
import io.nbdfleece.fleecing.TransactionAction.EnableBitmap;
import io.nbdfleece.fleecing.TransactionAction.MergeBitmaps;
import io.nbdfleece.fleecing.TransactionAction.RemoveBitmap;
import io.nbdfleece.fleecing.TransactionAction.TakeSnapshot;
import io.nbdfleece.fleecing.bitmap.BitmapRef;
import io.nbdfleece.fleecing.nbd.NamedExport;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

/// QEMU's commands about disks: what reaches the engine, and QEMU's texts for what does not.
@Timeout(30)
final class BlockCommandsTest {
  private final FakeTarget target = new FakeTarget();
  private List<AutoCloseable> open = List.of();
  private RawClient client = never();

  @TempDir Path directory = Path.of("");

  @SuppressWarnings("NullAway") // JUnit fills it before each test.
  private static RawClient never() {
    return null;
  }

  @BeforeEach
  void start() throws IOException {
    Path path = directory.resolve("qmp.sock");
    QmpServer server = QmpServer.start(path, target, QmpLimits.defaults());
    client = RawClient.negotiated(path);
    open = List.of(client, server);
  }

  @AfterEach
  void stop() throws Exception {
    for (AutoCloseable one : open) {
      one.close();
    }
  }

  @Test
  void bitmapCommandsAreTransactionsOfOneStep() throws Exception {
    BitmapRef bitmap = new BitmapRef("vda", "b0");
    execute("block-dirty-bitmap-add", "{'node':'vda','name':'b0'}");
    assertEquals(
        List.of(new AddBitmap(bitmap, OptionalInt.empty(), false, false)),
        target.transactions.take());
    execute(
        "block-dirty-bitmap-add",
        "{'node':'vda','name':'b0','granularity':512,'persistent':true,'disabled':true}");
    assertEquals(
        List.of(new AddBitmap(bitmap, OptionalInt.of(512), true, true)),
        target.transactions.take());
    execute("block-dirty-bitmap-remove", "{'node':'vda','name':'b0'}");
    assertEquals(List.of(new RemoveBitmap(bitmap)), target.transactions.take());
    execute("block-dirty-bitmap-clear", "{'node':'vda','name':'b0'}");
    assertEquals(List.of(new ClearBitmap(bitmap)), target.transactions.take());
    execute("block-dirty-bitmap-enable", "{'node':'vda','name':'b0'}");
    assertEquals(List.of(new EnableBitmap(bitmap)), target.transactions.take());
    execute("block-dirty-bitmap-disable", "{'node':'vda','name':'b0'}");
    assertEquals(List.of(new DisableBitmap(bitmap)), target.transactions.take());
    execute(
        "block-dirty-bitmap-merge",
        "{'node':'vda','target':'b0','bitmaps':['b1',{'node':'vdb','name':'b2'}]}");
    assertEquals(
        List.of(
            new MergeBitmaps(
                bitmap, List.of(new BitmapRef("vda", "b1"), new BitmapRef("vdb", "b2")))),
        target.transactions.take());
  }

  @Test
  void aViewHasBitmapsOfItsOwn() throws Exception {
    BitmapRef own = new BitmapRef("snap0", "own");
    execute("block-dirty-bitmap-add", "{'node':'snap0','name':'own'}");
    assertEquals(
        List.of(new AddBitmap(own, OptionalInt.empty(), false, false)), target.transactions.take());
    execute(
        "block-dirty-bitmap-merge",
        "{'node':'snap0','target':'own','bitmaps':['more',{'node':'vda','name':'b0'}]}");
    assertEquals(
        List.of(
            new MergeBitmaps(
                own, List.of(new BitmapRef("snap0", "more"), new BitmapRef("vda", "b0")))),
        target.transactions.take());
    execute(
        "block-dirty-bitmap-merge",
        "{'node':'vda','target':'b0','bitmaps':[{'node':'snap0','name':'own'}]}");
    assertEquals(
        List.of(new MergeBitmaps(new BitmapRef("vda", "b0"), List.of(own))),
        target.transactions.take());
  }

  @Test
  void aTransactionKeepsTheOrderOfItsSteps() throws Exception {
    JsonNode answer =
        execute(
            "transaction",
            "{'actions':[{'type':'block-dirty-bitmap-clear','data':{'node':'vda','name':'b0'}},"
                + "{'type':'fleecing-start','data':{'name':'nightly','disks':['vdb']}},"
                + "{'type':'block-dirty-bitmap-add','data':{'node':'vdb','name':'b1'}}],"
                + "'properties':{'completion-mode':'grouped'}}");
    assertEquals("nightly", answer.path(Transaction.SNAPSHOT).path("name").asString());
    var steps = target.transactions.take();
    assertEquals(3, steps.size());
    assertEquals(new ClearBitmap(new BitmapRef("vda", "b0")), steps.get(0));
    assertTrue(steps.get(1) instanceof TakeSnapshot, steps.toString());
    assertEquals(
        new AddBitmap(new BitmapRef("vdb", "b1"), OptionalInt.empty(), false, false), steps.get(2));
  }

  @Test
  void anEmptyTransactionDoesNothing() throws Exception {
    assertTrue(execute("transaction", "{'actions':[]}").isEmpty());
    assertTrue(target.transactions.isEmpty());
  }

  @Test
  void abortReachesTheEngineAfterTheStepsBeforeIt() throws Exception {
    assertEquals(
        "Transaction aborted using Abort action",
        client.refusal(
            "{'execute':'transaction','arguments':{'actions':["
                + "{'type':'block-dirty-bitmap-add','data':{'node':'vda','name':'t'}},"
                + "{'type':'abort','data':{}}]}}"));
    assertEquals(new Abort(), target.transactions.take().get(1));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "block-dirty-bitmap-add|{'node':'no','name':'b'}|"
            + "Cannot find device='no' nor node-name='no'",
        "block-dirty-bitmap-remove|{'node':'no','name':'b'}|Node 'no' not found",
        "block-dirty-bitmap-clear|{'node':'no','name':'b'}|Node 'no' not found",
        "block-dirty-bitmap-enable|{'node':'no','name':'b'}|Node 'no' not found",
        "block-dirty-bitmap-disable|{'node':'no','name':'b'}|Node 'no' not found",
        "block-dirty-bitmap-merge|{'node':'no','target':'b','bitmaps':[]}|Node 'no' not found",
        "block-dirty-bitmap-merge|{'node':'vda','target':'b','bitmaps':[{'node':'no','name':'b'}]}|"
            + "Node 'no' not found",
        "block-dirty-bitmap-merge|{'node':'vda','target':'b','bitmaps':['a',5]}|"
            + "Invalid parameter type for 'null', expected: BlockDirtyBitmapOrStr",
        "block-dirty-bitmap-add|{'node':'vda','name':'b','granularity':4294967296}|"
            + "Parameter 'granularity' expects uint32_t",
        "block-dirty-bitmap-add|{'node':'vda','name':'b','granularity':2147483648}|"
            + "Granularity too large: 2147483648 (expected: at most 1073741824)",
        "transaction|{}|Parameter 'actions' is missing",
        "transaction|{'actions':[{'type':'blockdev-backup','data':{}}]}|"
            + "Parameter 'type' does not accept value 'blockdev-backup'",
        "transaction|{'actions':[{'type':'block-dirty-bitmap-add','data':{'node':5,'name':'x'}}]}|"
            + "Invalid parameter type for 'actions[0].data.node', expected: string",
        "transaction|{'actions':[],'properties':{'completion-mode':'x'}}|"
            + "Parameter 'completion-mode' does not accept value 'x'",
        "nbd-server-start|{'addr':{'type':'unix','path':'/x'}}|Parameter 'addr.data' is missing",
        "nbd-server-start|{'addr':{'type':'vsock','data':{}}}|"
            + "Parameter 'type' does not accept value 'vsock'",
        "nbd-server-start|{'addr':{'type':'inet','data':{'host':'127.0.0.1','port':'abc'}}}|"
            + "address resolution failed for 127.0.0.1:abc: the port is no number up to 65535",
        "nbd-server-stop|{}|NBD server not running",
        "block-export-add|{'type':'nbd','id':'e','node-name':'no'}|"
            + "Cannot find device='' nor node-name='no'",
        "block-export-add|{'type':'fuse','id':'e','node-name':'vda'}|"
            + "Parameter 'type' does not accept value 'fuse'",
        "block-export-add|{'type':'nbd','id':'e','node-name':'vda','writethrough':true}|"
            + "Parameter 'writethrough' does not accept value 'true': clients flush for themselves",
        "block-export-del|{'id':'no'}|Export 'no' is not found",
        "block-export-del|{'id':'e','mode':'x'}|Parameter 'mode' does not accept value 'x'",
        "qmp_capabilities|{}|Capabilities negotiation is already complete, command ignored",
      })
  void whatCannotBeDoneIsRefusedInQemusWords(String command, String arguments, String message)
      throws Exception {
    assertEquals(
        message, client.refusal("{'execute':'" + command + "','arguments':" + arguments + "}"));
    assertTrue(target.transactions.isEmpty());
  }

  @Test
  void exportThatIsNotThereIsNotFound() throws Exception {
    JsonNode error =
        client.ask("{'execute':'block-export-del','arguments':{'id':'no'}}").path("error");
    assertEquals(ExitCode.NOT_FOUND.number(), error.path(QmpClient.EXIT_CODE).asInt());
  }

  @Test
  void exportsAreAddedListedAndDeleted() throws Exception {
    execute(
        "block-export-add",
        "{'type':'nbd','id':'e0','node-name':'snap0','name':'x','writable':true,"
            + "'description':'d','bitmaps':['b0',{'node':'vda','name':'b1'},'own'],"
            + "'allocation-depth':true,'writethrough':false}");
    assertEquals(
        new NamedExport(
            "e0",
            "snap0",
            new NamedExport.Source.FrozenDisk("nightly", "vda"),
            "x",
            true,
            Optional.of("d"),
            List.of(
                new BitmapRef("vda", "b0"),
                new BitmapRef("vda", "b1"),
                new BitmapRef("snap0", "own")),
            true),
        target.added.get("e0"));
    assertEquals(
        Json.parse(
            "[{'node-name':'snap0','shutting-down':false,'type':'nbd','id':'e0'}]".getBytes(UTF_8)),
        execute("query-block-exports", "{}"));
    JsonNode event = client.ask("{'execute':'block-export-del','arguments':{'id':'e0'}}");
    assertEquals("BLOCK_EXPORT_DELETED", event.path("event").asString());
    assertEquals("e0", event.path("data").path("id").asString());
    assertTrue(client.receive().has("return"), "the event comes before the answer");
    assertTrue(execute("query-block-exports", "{}").isEmpty());
  }

  @Test
  void anExportIsCalledLikeItsNodeUnlessItIsNamed() throws Exception {
    execute("block-export-add", "{'type':'nbd','id':'e0','node-name':'vdb'}");
    assertEquals(
        new NamedExport(
            "e0",
            "vdb",
            new NamedExport.Source.LiveDisk("vdb"),
            "vdb",
            false,
            Optional.empty(),
            List.of(),
            false),
        target.added.get("e0"));
  }

  @Test
  void addressesOfTheNbdServerAreRead() throws Exception {
    execute("nbd-server-start", "{'addr':{'type':'unix','data':{'path':'/run/x.sock'}}}");
    assertEquals(
        new ControlTarget.NbdAddress(
            Optional.of(Path.of("/run/x.sock")),
            Optional.empty(),
            100,
            Duration.ofSeconds(10),
            false),
        target.addresses.take());
    execute(
        "nbd-server-start",
        "{'addr':{'type':'inet','data':{'host':'127.0.0.1','port':'10810'}},'tls-creds':'tls0',"
            + "'max-connections':0,'handshake-max-seconds':0}");
    assertEquals(
        new ControlTarget.NbdAddress(
            Optional.empty(),
            Optional.of(new InetSocketAddress(InetAddress.getLoopbackAddress(), 10_810)),
            0,
            Duration.ZERO,
            true),
        target.addresses.take());
  }

  @Test
  void disksAreShownAsTheDrivesOfAGuest() throws Exception {
    JsonNode disk = execute("query-block", "{}").path(0);
    assertEquals("vda", disk.path("device").asString());
    assertEquals("vda", disk.path("qdev").asString());
    JsonNode inserted = disk.path("inserted");
    assertEquals("vda", inserted.path("node-name").asString());
    assertEquals("raw", inserted.path("drv").asString());
    assertEquals("/srv/vda.img", inserted.path("image").path("filename").asString());
    assertEquals("raw", inserted.path("image").path("format").asString());
    assertEquals(10L << 30, inserted.path("image").path("virtual-size").asLong());
    assertEquals(
        Json.parse(
                ("[{'name':'b0','count':131072,'granularity':65536,'recording':true,'busy':false,"
                        + "'persistent':false},"
                        + "{'name':'bad','count':0,'granularity':512,'recording':false,"
                        + "'busy':false,"
                        + "'persistent':true,'inconsistent':true}]")
                    .getBytes(UTF_8))
            .toString(),
        inserted.path("dirty-bitmaps").toString());
  }

  @Test
  void nodesShowTheBitmapsOfTheirOwn() throws Exception {
    JsonNode nodes = execute("query-named-block-nodes", "{'flat':true}");
    assertEquals(2, nodes.size());
    assertEquals(2, nodes.path(0).path("dirty-bitmaps").size());
    assertEquals("snapshot-access", nodes.path(1).path("drv").asString());
    assertTrue(nodes.path(1).path("ro").asBoolean());
    assertEquals("own", nodes.path(1).path("dirty-bitmaps").path(0).path("name").asString());
  }

  @Test
  void toolsThatLookForJobsTpmAndNameFindNone() throws Exception {
    for (String query : List.of("query-jobs", "query-block-jobs", "query-tpm", "query-name")) {
      assertTrue(execute(query, "{}").isEmpty(), query);
    }
  }

  private JsonNode execute(String command, String arguments) throws IOException {
    JsonNode answer = client.ask("{'execute':'" + command + "','arguments':" + arguments + "}");
    assertTrue(answer.has("return"), answer.toString());
    return answer.path("return");
  }
}
