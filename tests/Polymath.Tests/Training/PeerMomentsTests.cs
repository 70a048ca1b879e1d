using System.Text.Json;
using System.Text.Json.Nodes;
using Polymath.Distributed;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors.Files;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Text.Packing;
using Polymath.Training;
using Polymath.Training.Objectives;
using Polymath.Training.Optimizers;
using Polymath.Training.Schedules;
using Polymath.Training.Stages;

namespace Polymath.Tests.Training;

/// <summary>Adapters whose training PEFT began and we continue, with its optimizer's moments.</summary>
[Trait("kind", "parity")]
public sealed class PeerMomentsTests : IDisposable
{
    private readonly ScratchFolder folder = new();

    public void Dispose() => folder.Dispose();

    private static string At(params string[] parts) => TextFixtures.At(["own", "resume", .. parts]);

    private sealed class InOrder(IReadOnlyList<Item> items) : ItemSource
    {
        public override int Count => items.Count;

        protected override Item At(Cursor cursor) => items[cursor.Place];
    }

    /// <summary>The adapter after one more step.</summary>
    private Dictionary<string, float[]> Third(string name, string adapter, bool moments = true)
    {
        var said = JsonNode.Parse(File.ReadAllText(At(name, "rows.json")))!;
        using var model = ModelFolder.Open(TextFixtures.At("models", (string)said["base"]!));
        var method = new AdaptersMethod(new Dictionary<string, AdapterSpec> { ["one"] = new(Folder: adapter, OptimizerState: moments) });
        using var trained = TrainedMethod.Attach(
            model,
            method,
            1,
            "stage",
            places: new AdapterPlaces(folder.Path, stage => stage, folder.At("prepared")));
        var spec = new AdamwSpec(
            (double)said["rate"]!,
            Beta2: (double)said["beta2"]!,
            Epsilon: (double)said["epsilon"]!,
            WeightDecay: (double)said["weightDecay"]!,
            Clip: 0);
        using var optimizer = new OptimizerSet(trained.Groups(spec));
        trained.TakeUp(optimizer);
        var rows = said["rows"]!.Deserialize<int[][]>()!.Skip(4)
            .Select(ids => new Item([new TokenRow(ids, [.. ids.Select(_ => 1f)], "row")])).ToList();
        new Loop(
            model,
            [new Term(new NextToken(), new InOrder(rows), new BatchSpec(24))],
            optimizer,
            new RateSchedule(spec.Rate, 100, new ScheduleSpec(ScheduleKind.Constant)),
            new Solo()).Step(3, TestContext.Current.CancellationToken);
        return optimizer.Weights.ToDictionary(weight => weight.Name, weight => Samples.Floats(weight.Value));
    }

    private static double Gap(string name, Dictionary<string, float[]> found)
    {
        using var file = WeightFile.OpenAny(At(name, "third.safetensors"));
        Assert.Equal(file.Entries.Keys.Order(), found.Keys.Order());
        return file.Entries.Keys.Max(key =>
        {
            using var wanted = file.Map(key);
            return Samples.Floats(wanted).Zip(found[key], (a, b) => Math.Abs(a - b)).Max();
        });
    }

    [Theory]
    [InlineData("plain")]
    [InlineData("bias")]
    [InlineData("dora")]
    public void The_next_step_is_the_one_that_PyTorch_would_have_done(string name)
    {
        Assert.InRange(Gap(name, Third(name, At(name))), 0, 1e-6);
        // Moments of zero would be noticed: the step would have another size.
        Assert.True(Gap(name, Third(name, At(name), moments: false)) > 1e-3);
    }

    public static TheoryData<string> Models => [.. JsonNode.Parse(File.ReadAllText(At("order.json")))!.AsObject().Select(pair => pair.Key)];

    [Theory]
    [MemberData(nameof(Models))]
    public void Maps_stand_in_the_order_in_which_transformers_makes_them(string name)
    {
        using var model = ModelFolder.Open(TextFixtures.At("models", name));
        var wanted = JsonNode.Parse(File.ReadAllText(At("order.json")))![name]!.Deserialize<string[]>()!;
        var ours = model.Projections.Where(map => map.Role is not (Role.Head or Role.Router)).Select(map => map.Name).ToList();
        Assert.True(ours.Count > 4);
        // Heads of masked models are not maps of blocks.
        Assert.Equal(wanted.Where(ours.Contains), PeerMoments.InPeersOrder(ours, model.MadeOrder));
    }

    [Fact]
    public void A_state_that_is_not_the_adapter_s_is_refused_by_name()
    {
        string Copy(string adapter, string optimizer)
        {
            var place = folder.At(Guid.NewGuid().ToString("N"));
            Directory.CreateDirectory(place);
            foreach (var file in Directory.GetFiles(At(adapter))) File.Copy(file, Path.Combine(place, Path.GetFileName(file)));
            File.Copy(At(optimizer, PeerMoments.File), Path.Combine(place, PeerMoments.File), overwrite: true);
            return place;
        }
        string Refused(string adapter, string place) => Assert.Throws<InputException>(() => Third(adapter, place)).Message;
        Assert.Contains(
            "it is of 18 parameters, and the adapter trains 9", Refused("dora", Copy("dora", "plain")), StringComparison.Ordinal);
        Assert.Contains(
            "state.4.exp_avg is [2, 112], and base_model.model.model.layers.1.self_attn.q_proj.lora_A",
            Refused("bias", Copy("bias", "plain")),
            StringComparison.Ordinal);
        var cut = Copy("plain", "plain");
        File.WriteAllBytes(Path.Combine(cut, PeerMoments.File), File.ReadAllBytes(At("plain", PeerMoments.File))[..2000]);
        Assert.Contains(PeerMoments.File, Refused("plain", cut), StringComparison.Ordinal);
    }
}
