using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Models.Parts;
using Polymath.Recipes;
using Polymath.Tensors;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Tuning;
using static TorchSharp.torch;

namespace Polymath.Tests.Tuning;

/// <summary>
/// Adapters on experts that files hold in one weight for all experts of a layer. PEFT's own files are among the parity cases.
/// </summary>
// Random numbers come from one generator of the whole process.
[Trait("kind", "invariant")]
[Collection(Alone.Name)]
public sealed class ExpertStackTests
{
    private const string Parameters = "target_parameters",
        Experts = """{"enable_moe_block":true,"num_experts":4,"top_k_experts":2,"moe_intermediate_size":16}""";

    public static TheoryData<string, string> Cases => new MatrixTheoryData<string, string>(
        ["granitemoe", "gpt_oss", "llama4_text", "gemma4_text"],
        [
            "LORA", "SHIRA", "ADALORA", "VERA", "LOHA", "LOKR", "OFT", "BOFT", "HRA", "FOURIERFT", "IA3", "POLYMATH_BITFIT",
            "POLYMATH_BOTTLENECK houlsby", "POLYMATH_SPARSE", "POLYMATH_SAID",
        ]);

    [Theory]
    [MemberData(nameof(Cases))]
    public void An_adapter_of_experts_starts_as_the_base_learns_is_saved_and_merged(string family, string kind)
    {
        using var folder = new ScratchFolder();
        float[] basis, moved;
        using (var model = Make(family))
        {
            foreach (var weight in model.Weights) weight.Trainable = false;
            basis = Scores(model);
            using (Attach(model, kind, moved: false)) Assert.True(Samples.Gap(basis, Scores(model)) < 1e-5);
            using (var set = Attach(model, kind, moved: true))
            {
                moved = Scores(model);
                Assert.True(Samples.Gap(basis, moved) > 1e-5);
                Assert.All(set.Plugged, pair => Assert.True(pair.Target.Stack!.IsWhole));
                Assert.True(set.Plugged.Count > 0 || set.ChangesMore);
                Learns(model, set);
                set.Save(folder.Path);
                using (set.Off()) Assert.True(Samples.Gap(basis, Scores(model)) < 1e-5);
            }
            using (DeltaSet.Load(model, folder.Path)) Assert.Equal(moved, Scores(model));
            Assert.True(Samples.Gap(basis, Scores(model)) < 1e-5);
        }
        Merges(family, folder.Path, moved);
    }

    // Merged in memory, and weight by weight as a merged model is written, it computes the same.
    private static void Merges(string family, string adapter, float[] moved)
    {
        using var model = Make(family);
        var set = DeltaSet.Load(model, adapter);
        if (!set.Merges)
        {
            set.Dispose();
            return;
        }
        var (written, biasesAlone) = (set.Merged(), set.Plugged.Count == 0);
        var apart = model.Weights.Select(weight => (weight, written.Of(weight))).ToList();
        set.Merge();
        Assert.True(Samples.Gap(moved, Scores(model)) < 1e-4 * moved.Max(Math.Abs));
        foreach (var (weight, changed) in apart)
        {
            using (changed) Assert.True(changed is null || changed.allclose(weight.Value, 0, 0), weight.Name);
        }
        Assert.True(biasesAlone || apart.Exists(pair => pair.Item2 is not null));
    }

    [Theory]
    [InlineData("granitemoe", "input_linear.weight,output_linear.weight", "")]
    [InlineData("gpt_oss", "experts.gate_up_proj,experts.down_proj", "")]
    [InlineData("llama4_text", "experts.gate_up_proj,experts.down_proj", "gate_proj,up_proj,down_proj")]
    [InlineData("gemma4_text", "experts.gate_up_proj,experts.down_proj", "gate_proj,up_proj,down_proj")]
    public void Roles_mean_stacks_of_experts_by_the_names_of_PEFT(string family, string stacks, string maps)
    {
        using var model = Make(family);
        var made = DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Lora, Roles: [Socket.FeedForward]));
        Assert.Equal(stacks.Split(','), made.Texts(Parameters));
        Assert.Equal(maps.Split(',', StringSplitOptions.RemoveEmptyEntries), made.Texts("target_modules"));
        var other = DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Loha, Roles: [Socket.FeedForward]));
        using var set = DeltaSet.Fresh(model, other, 1);
        Assert.False(other.Has(Parameters));
        Assert.Contains(set.Plugged, pair => pair.Target.Stack is { IsWhole: true });
    }

    [Fact]
    public void Layers_choose_stacks()
    {
        using var model = Make("gpt_oss");
        var made = DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Lora, Roles: [Socket.Down], Layers: [1]));
        Assert.Equal(["model.layers.1.mlp.experts.down_proj"], made.Texts(Parameters));
        using var set = DeltaSet.Fresh(model, made, 1);
        Assert.All(set.Plugged, pair => Assert.Equal(1, pair.Target.Layer));
        var loha = DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Ia3, Roles: [Socket.Down], Layers: [0]));
        using var further = DeltaSet.Fresh(model, loha, 1);
        Assert.All(further.Plugged, pair => Assert.Equal(0, pair.Target.Layer));
    }

    [Fact]
    public void What_cannot_be_is_told_with_what_to_write()
    {
        using var model = Make("gpt_oss");
        string Told(DeltaSpec spec) => Assert.Throws<InputException>(() => DeltaSet.Fresh(model, spec, 1)).Message;
        Assert.Contains(
            "name it in target_parameters: [experts.gate_up_proj]", Told(new DeltaSpec(DeltaForm.Lora, TargetModules: ["gate_up_proj"])));
        Assert.Contains("which has experts.gate_up_proj and experts.down_proj", Told(new DeltaSpec(
            DeltaForm.Lora, TargetModules: ["q_proj"], Settings: new Dictionary<string, string> { [Parameters] = "[experts.up]" })));
        Assert.Contains("whose inputs cannot be dropped", Told(new DeltaSpec(
            DeltaForm.Lora, Roles: [Socket.Down], Settings: new Dictionary<string, string> { ["lora_dropout"] = "0.1" })));
    }

    [Theory]
    [InlineData("granitemoe")]
    [InlineData("gpt_oss")]
    public void A_stack_that_is_cut_once_has_the_gradient_of_its_parts(string family)
    {
        using var model = Make(family);
        using var scope = NewDisposeScope();
        var stack = model.Projections.First(map => map.Stack is { IsWhole: true }).Weight;
        stack.Trainable = true;
        using var batch = TinyFamilies.Batch(model);
        Fused.Backpropagate(TinyFamilies.Loss(model, batch));
        var gradient = stack.Value.grad!;
        // By differences, at the largest entry of each expert.
        for (var expert = 0; expert < gradient.size(0); expert++)
        {
            var own = gradient.select(0, expert).reshape(-1);
            var at = own.abs().argmax().item<long>();
            double Moved(float step) => Loss(model, batch, stack, (expert, at, step));
            var measured = (Moved(1e-2f) - Moved(-1e-2f)) / 2e-2;
            Assert.Equal(measured, own[at].item<float>(), 3e-4);
        }
    }

    private static double Loss(LanguageModel model, Batch batch, Weight stack, (int Expert, long At, float Step) moved)
    {
        using var frozen = no_grad();
        using var place = stack.Value.select(0, moved.Expert).view(-1).narrow(0, moved.At, 1);
        place.add_(moved.Step);
        var loss = TinyFamilies.Loss(model, batch).item<float>();
        place.sub_(moved.Step);
        return loss;
    }

    [Theory]
    [InlineData(BasePrecision.Nf4)]
    [InlineData(BasePrecision.Bfloat16)]
    public void An_adapter_of_experts_works_on_a_rounded_base(BasePrecision precision)
    {
        using var model = Make("gpt_oss");
        foreach (var weight in model.Weights) weight.Trainable = false;
        model.Quantize(precision);
        var basis = Scores(model);
        using var set = Attach(model, "LORA", moved: true);
        Assert.True(Samples.Gap(basis, Scores(model)) > 1e-5);
        Learns(model, set);
    }

    private static LanguageModel Make(string family)
    {
        var configuration = TinyFamilies.Configuration(family);
        // A new Gemma 4 has no experts.
        if (family == "gemma4_text")
            foreach (var (key, value) in JsonNode.Parse(Experts)!.AsObject()) configuration[key] = value!.DeepClone();
        configuration["initializer_range"] = 0.2;
        return ModelFolder.New(configuration, 3);
    }

    private static DeltaSet Attach(LanguageModel model, string kind, bool moved)
    {
        var lora = kind.StartsWith("LORA", StringComparison.Ordinal);
        var maps = model.Projections.Where(map => map.Stack is { IsWhole: true }
            && (map.Role == Role.Down || !kind.Contains("BOTTLENECK", StringComparison.Ordinal))).ToList();
        var names = lora ? maps.Select(map => map.Stack!.Name).Distinct() : maps.Select(map => map.Name);
        return DeltaKinds.Fresh(
            model,
            kind,
            moved,
            targets: [.. names],
            targetKey: lora ? Parameters : "target_modules");
    }

    private static float[] Scores(LanguageModel model)
    {
        using var frozen = no_grad();
        using var scope = NewDisposeScope();
        using var batch = TinyFamilies.Batch(model);
        return Samples.Floats(model.Unembed(model.Hidden(batch)));
    }

    private static void Learns(LanguageModel model, DeltaSet set)
    {
        foreach (var weight in set.Weights) weight.Trainable = true;
        using var scope = NewDisposeScope();
        using var batch = TinyFamilies.Batch(model);
        Fused.Backpropagate(TinyFamilies.Loss(model, batch));
        var seen = set.Trained.Where(item => item.Weight.Value.grad is not null).ToList();
        Assert.NotEmpty(seen);
        Assert.All(seen, item => Assert.True(item.Weight.Value.grad!.isfinite().all().item<bool>(), item.Name));
        Assert.Contains(seen, item => item.Weight.Value.grad!.abs().max().item<float>() > 0);
        foreach (var weight in set.Weights)
        {
            weight.ClearGradient();
            weight.Trainable = false;
        }
    }
}
