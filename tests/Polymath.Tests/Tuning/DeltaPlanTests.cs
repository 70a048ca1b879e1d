using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tests.Models;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Tuning;

namespace Polymath.Tests.Tuning;

/// <summary>One description of a delta: roles, layers, form, budget.</summary>
[Trait("kind", "unit")]
public sealed class DeltaPlanTests
{
    private static LanguageModel Open(string family) => ModelFolder.Open(TextFixtures.At("models", family));

    [Theory]
    [InlineData("llama", "q_proj,v_proj", Socket.Query, Socket.Value)]
    [InlineData("llama", "q_proj,k_proj,v_proj,o_proj", Socket.Attention)]
    [InlineData("chatglm2", "query_key_value", Socket.Query)]
    [InlineData("chatglm2", "dense_h_to_4h,dense_4h_to_h", Socket.FeedForward)]
    [InlineData("bloom", "query_key_value,dense", Socket.Attention)]
    [InlineData("phi3", "gate_up_proj", Socket.Gate)]
    [InlineData("t5", "q,v", Socket.Query, Socket.Value)]
    [InlineData("bert-mlm", "query,value", Socket.Query, Socket.Value)]
    [InlineData("gpt2", "transformer.h.0.mlp.c_proj,transformer.h.1.mlp.c_proj,transformer.h.2.mlp.c_proj", Socket.Down)]
    [InlineData("llama", "model.embed_tokens,lm_head", Socket.Embedding, Socket.Head)]
    public void The_same_words_mean_each_familys_own_modules(string family, string modules, params Socket[] sockets)
    {
        using var model = Open(family);
        Assert.Equal(modules.Split(','), DeltaPlan.Modules(model, sockets));
    }

    [Fact]
    public void A_role_that_a_family_lacks_is_refused_with_those_it_has()
    {
        using var model = Open("gpt2");
        var message = Assert.Throws<InputException>(() => DeltaPlan.Modules(model, [Socket.Gate])).Message;
        Assert.Contains("has none of gate", message, StringComparison.Ordinal);
        Assert.Contains("QueryKeyValue", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Layers_are_those_that_are_named()
    {
        using var model = Open("llama");
        using var set = DeltaSet.Fresh(model, DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Lora, [Socket.Down], Layers: [2])), 1);
        Assert.Equal(["model.layers.2.mlp.down_proj"], set.Plugged.Select(pair => pair.Target.Name));
    }

    [Theory]
    [InlineData(DeltaForm.Lora, "1.1%")]
    [InlineData(DeltaForm.Adalora, "3k")]
    [InlineData(DeltaForm.Vera, "1000")]
    [InlineData(DeltaForm.Loha, "5k")]
    [InlineData(DeltaForm.Lokr, "2k")]
    [InlineData(DeltaForm.Oft, "3k")]
    [InlineData(DeltaForm.Boft, "9k")]
    [InlineData(DeltaForm.Hra, "2k")]
    [InlineData(DeltaForm.Fourierft, "700")]
    [InlineData(DeltaForm.Sparse, "0.5%")]
    [InlineData(DeltaForm.Said, "321")]
    [InlineData(DeltaForm.Adapter, "6k")]
    [InlineData(DeltaForm.PromptTuning, "700")]
    [InlineData(DeltaForm.PrefixTuning, "1.5k")]
    public void A_budget_is_used_and_not_exceeded(DeltaForm form, string budget)
    {
        using var model = Open("llama");
        var allowed = DeltaPlan.Parameters(budget, model);
        using var set = DeltaSet.Fresh(model, DeltaPlan.Configure(model, new DeltaSpec(form, Budget: budget)), 1);
        var used = set.Trained.Sum(item => item.Weight.Count);
        Assert.InRange(used, form is DeltaForm.Oft or DeltaForm.Boft or DeltaForm.Lokr ? allowed / 5 : allowed * 7 / 10, allowed);
    }

    [Theory]
    [InlineData("", "write a share")]
    [InlineData("lots", "write a share")]
    [InlineData("-3", "write a share")]
    [InlineData("5", "the smallest such delta has")]
    [InlineData("0.0001%", "less than one parameter of the model's 127,296")]
    public void A_budget_that_cannot_be_is_refused(string budget, string message)
    {
        using var model = Open("llama");
        Assert.Contains(
            message,
            Assert.Throws<InputException>(() => DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Lora, Budget: budget))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Settings_are_PEFTs_own_and_others_are_refused_with_the_known_ones()
    {
        using var model = Open("llama");
        using (var set = DeltaSet.Fresh(model, DeltaPlan.Configure(model, new DeltaSpec(
            DeltaForm.Lora,
            Settings: new Dictionary<string, string> { ["r"] = "3", ["use_dora"] = "true", ["rank_pattern"] = """{"v_proj":5}""" })), 1))
            Assert.Equal(
                [3L, 5L],
                set.Trained.Where(item => item.Name.EndsWith("lora_A.weight", StringComparison.Ordinal))
                    .Select(item => item.Weight.Value.shape[0]).Distinct());
        Assert.Contains(
            "the settings of a LORA are r, lora_alpha",
            Assert.Throws<InputException>(() => DeltaSet.Fresh(
                model,
                DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Lora, Settings: new Dictionary<string, string> { ["rank"] = "3" })),
                1).Dispose()).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "give one of them",
            Assert.Throws<InputException>(() => DeltaPlan.Configure(
                model, new DeltaSpec(DeltaForm.Lora, Budget: "8k", Settings: new Dictionary<string, string> { ["r"] = "3" }))).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(DeltaForm.Lora, null, "rank", "3", "the settings of a LORA are r")]
    [InlineData(DeltaForm.Oft, "1%", "oft_block_size", "4", "give one of them")]
    [InlineData(DeltaForm.Lora, "1x", null, null, "budget is '1x'")]
    [InlineData(DeltaForm.Ia3, "x%", null, null, "budget is 'x%'")]
    [InlineData(DeltaForm.Ia3, "1%", null, null, "ia3 has no size that a budget could set")]
    [InlineData(DeltaForm.Adalora, null, "tinit", "20", "of 20 steps (total_step), tinit 20 and tfinal 0 leave none")]
    [InlineData(DeltaForm.Adalora, null, "beta2", "1.5", "beta2 is 1.5; a number between 0 and 1")]
    [InlineData(DeltaForm.Lora, null, "init_lora_weights", "corda", "known are true, false")]
    [InlineData(DeltaForm.Lora, null, "layer_replication", "[[0,2],[1,3]]", "Write that one first")]
    public void What_is_wrong_for_any_model_is_told_before_the_first_stage(
        DeltaForm form,
        string? budget,
        string? key,
        string? value,
        string message)
    {
        var spec = new DeltaSpec(form, Budget: budget, Settings: key is null ? null : new Dictionary<string, string> { [key] = value! });
        Assert.Contains(
            message,
            Assert.Throws<InputException>(() => DeltaPlan.Check(spec, "stages.task.method", steps: 20)).Message,
            StringComparison.Ordinal);
        DeltaPlan.Check(new DeltaSpec(form, [Socket.Query], Budget: DeltaPlan.HasSize(form) ? "2%" : null), "stages.task.method");
    }

    public static TheoryData<DeltaForm> Forms => [.. Enum.GetValues<DeltaForm>()];

    [Theory]
    [MemberData(nameof(Forms))]
    public void Every_form_learns_in_the_loop_moves_only_its_own_weights_and_leaves_its_adapter(DeltaForm form)
    {
        var settings = form switch
        {
            DeltaForm.TrainableTokens => ("token_indices", "[3,5,7,11]"),
            DeltaForm.Bitfit => ("create_missing", "true"),
            DeltaForm.Oft => ("oft_block_size", "4"),
            DeltaForm.Shira => ("r", "2"),
            DeltaForm.Adalora => ("tfinal", "990"),
            DeltaForm.Fourierft => ("n_frequency", "20"),
            _ => default,
        };
        var spec = new DeltaSpec(
            form, Settings: settings.Item1 is null ? null : new Dictionary<string, string> { [settings.Item1] = settings.Item2 });
        using var toy = new ToyTraining(spec);
        var own = toy.Method.Weights.ToHashSet();
        var basis = Toy.Values(toy.Model.Weights.Where(weight => !own.Contains(weight)));
        var before = Toy.Values(toy.Method.Weights.Select((weight, i) => new Weight($"{i}", weight.Value.detach().clone())));
        var reports = toy.Train(1, 25);
        Assert.True(reports[^1].Loss < reports[0].Loss, $"{form}: {reports[0].Loss} to {reports[^1].Loss}");
        Assert.Equal(
            basis.SelectMany(pair => pair.Value),
            Toy.Values(toy.Model.Weights.Where(weight => !own.Contains(weight))).SelectMany(pair => pair.Value));
        for (var i = 0; i < toy.Method.Weights.Count; i++)
            Assert.False(
                before[$"{i}"].SequenceEqual(Samples.Floats(toy.Method.Weights[i].Value)),
                $"{toy.Method.Weights[i].Name} did not move");
        using var folder = new ScratchFolder();
        toy.Method.Training = false;
        toy.Method.Finish(folder.Path);
        Assert.True(toy.Method.Unmerged);
        Assert.True(File.Exists(folder.At("adapter", "adapter_model.safetensors")));
    }
}
