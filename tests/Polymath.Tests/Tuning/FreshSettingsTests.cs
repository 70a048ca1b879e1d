using System.Text.Json.Nodes;
using Polymath.Models;
using Polymath.Recipes;
using Polymath.Tests.Tensors;
using Polymath.Tests.Text;
using Polymath.Tuning;

namespace Polymath.Tests.Tuning;

/// <summary>A description of a fresh adapter is applied or refused: nothing in it is ignored.</summary>
[Trait("kind", "unit")]
public sealed class FreshSettingsTests
{
    private static LanguageModel Open(string family) => ModelFolder.Open(TextFixtures.At("models", family));

    private static Dictionary<string, string>? Settings(string? text) =>
        text?.Split(';').Select(pair => pair.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]);

    private static string Refusal(string family, DeltaSpec spec)
    {
        using var model = Open(family);
        return Assert.Throws<InputException>(() => DeltaSet.Fresh(model, DeltaPlan.Configure(model, spec), 1).Dispose()).Message;
    }

    [Theory]
    [InlineData("llama", DeltaForm.Lora, "q_proj,proj_v", "is called 'proj_v'")]
    [InlineData("gpt2", DeltaForm.Lora, "q_proj", "is called 'q_proj'; did you mean 'c_proj'")]
    [InlineData("llama", DeltaForm.Lora, "q_proj,input_layernorm", "'input_layernorm' is not a module that a LORA changes")]
    [InlineData("llama", DeltaForm.Loha, "q_proj,embed_tokens", "'embed_tokens' is not a module that a LOHA changes")]
    [InlineData("llama", DeltaForm.Lora, "q_proj,mlp", "'mlp'")]
    public void A_target_that_is_not_there_or_of_another_kind_is_refused_beside_one_that_is(
        string family, DeltaForm form, string targets, string message) =>
            Assert.Contains(message, Refusal(family, new DeltaSpec(form, TargetModules: targets.Split(','))), StringComparison.Ordinal);

    [Theory]
    [InlineData("modules_to_save=[\"nrom\"]", "is called 'nrom'")]
    [InlineData("exclude_modules=[\"qproj\"]", "did you mean 'q_proj'")]
    [InlineData("rank_pattern={\"qproj\":2}", "'qproj' matches no module")]
    [InlineData("rank_pattern={q_proj: 2}", "an object of names and values is needed")]
    [InlineData("rank_pattern={\"q_proj\":0}", "whole numbers from 1 are needed")]
    [InlineData("eva_config=rho;init_lora_weights=eva", "an object of names and values is needed")]
    [InlineData("use_doraa=false", "did you mean 'use_dora'?")]
    [InlineData("bias=[\"all\"]", "one text is needed")]
    [InlineData("r=2000000000", "more values than fit into memory")]
    public void A_name_in_the_settings_that_stands_for_nothing_is_refused(string settings, string message) =>
        Assert.Contains(message, Refusal("llama", new DeltaSpec(DeltaForm.Lora, Settings: Settings(settings))), StringComparison.Ordinal);

    [Theory]
    [InlineData(DeltaForm.Adalora, "r=8", "init_r and target_r")]
    [InlineData(DeltaForm.Adalora, "init_r=4;target_r=5", "raise init_r")]
    [InlineData(DeltaForm.Adalora, "target_r=13", "raise init_r")]
    [InlineData(DeltaForm.Lokr, "decompose_factor=0", "write 1, or -1")]
    [InlineData(DeltaForm.Lora, "layers_pattern=layers", "name some layers, or leave it out")]
    [InlineData(DeltaForm.Ia3, "ensure_weight_tying=true", "belongs to modules_to_save")]
    [InlineData(DeltaForm.Lora, "loftq_config={\"loftq_iter\":2}", "belongs to init_lora_weights: loftq")]
    [InlineData(DeltaForm.Lora, "eva_config={\"rho\":2}", "belongs to init_lora_weights: eva")]
    [InlineData(DeltaForm.Sparse, "fisher_rows=3", "belongs to choose: fisher")]
    [InlineData(DeltaForm.Oft, "eps=0.1", "belongs to coft: true")]
    [InlineData(DeltaForm.Oft, "init_weights=false", "has only one initialization")]
    [InlineData(DeltaForm.Adapter, "composition=gated;scale=2", "weighed by its gate")]
    [InlineData(DeltaForm.Adapter, "phm_rank=2", "belongs to phm_dim")]
    [InlineData(DeltaForm.PTuning, "encoder_dropout=0.1", "has no dropout here")]
    [InlineData(DeltaForm.PTuning, "encoder_num_layers=3", "belongs to encoder_reparameterization_type: LSTM")]
    [InlineData(DeltaForm.PrefixTuning, "encoder_hidden_size=8", "belongs to prefix_projection: true")]
    [InlineData(DeltaForm.PromptTuning, "prompt_tuning_init_text=hello", "belongs to prompt_tuning_init: TEXT")]
    [InlineData(DeltaForm.Ia3, "feedforward_modules=[\"up_proj\"]", "'up_proj' is not among the maps that are changed")]
    [InlineData(DeltaForm.Adapter, "activation=reul", "activation is \"reul\"; known are silu")]
    public void A_setting_that_would_do_nothing_is_refused(DeltaForm form, string settings, string message)
    {
        var spec = new DeltaSpec(form, Settings: Settings(settings));
        Assert.Contains(message, Refusal("llama", spec), StringComparison.Ordinal);
        // Also before the first stage, when no model is needed.
        if (!settings.StartsWith("feedforward_modules", StringComparison.Ordinal)
            && !settings.StartsWith("activation", StringComparison.Ordinal))
            Assert.Contains(
                message, Assert.Throws<InputException>(() => DeltaPlan.Check(spec, "stages.one.method")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_left_of_a_budget_is_held_against_the_size_that_was_solved()
    {
        DeltaSpec Spec(string left) => new(DeltaForm.Adalora, Budget: "5k", Settings: Settings("target_r=" + left));
        DeltaPlan.Check(Spec("60"), "here");
        Assert.Contains("raise init_r", Refusal("llama", Spec("60")), StringComparison.Ordinal);
        using var model = Open("llama");
        Assert.True(DeltaPlan.Configure(model, Spec("1")).Whole("init_r", 0) > 1);
    }

    [Fact]
    public void What_is_saved_whole_is_named_as_PEFT_takes_it()
    {
        using var model = Open("llama");
        using var set = DeltaSet.Fresh(
            model,
            DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Lora, Settings: Settings("modules_to_save=[\"attention_layernorm\"]"))),
            1);
        Assert.Equal(3, set.Trained.Count(item => item.Name.EndsWith("post_attention_layernorm.weight", StringComparison.Ordinal)));
    }

    // PEFT writes and reads such files; their settings are applied.
    [Theory]
    [InlineData("""{"peft_type":"LOKR","r":2,"decompose_factor":0,"target_modules":["q_proj"]}""",
        """{"peft_type":"LOKR","r":2,"decompose_factor":1,"target_modules":["q_proj"]}""")]
    [InlineData("""{"peft_type":"ADALORA","init_r":2,"target_r":5,"total_step":9,"target_modules":["q_proj"]}""",
        """{"peft_type":"ADALORA","init_r":2,"target_r":2,"total_step":9,"target_modules":["q_proj"]}""")]
    public void What_a_recipe_may_not_say_a_file_may(string odd, string plain)
    {
        using var model = Open("llama");
        using var folder = new ScratchFolder();
        using (var set = DeltaSet.Fresh(model, AdapterConfiguration.Of((JsonObject)JsonNode.Parse(odd)!, "file"), 1)) set.Save(folder.Path);
        using var read = DeltaSet.Load(model, folder.Path);
        var shapes = read.Trained.Select(item => (item.Name, string.Join(',', item.Weight.Shape))).ToList();
        read.Dispose();
        using var same = DeltaSet.Fresh(model, AdapterConfiguration.Of((JsonObject)JsonNode.Parse(plain)!, "file"), 1);
        Assert.Equal(same.Trained.Select(item => (item.Name, string.Join(',', item.Weight.Shape))), shapes);
    }

    [Theory]
    [InlineData("target_parameters=[\"mlp.experts.down_proj\"];lora_dropout=0.1", "cannot be dropped")]
    [InlineData("target_parameters=[\"mlp.experts.down_proj\"];init_lora_weights=gaussian", "has only one initialization")]
    [InlineData("target_parameters=[\"mlp.experts.down_proj\"];exclude_modules=[\"down_projs\"]", "is called 'down_projs'")]
    [InlineData("target_parameters=[\"mlp.experts.down_proj\"];rank_pattern={\"mlp.experts.up\":2}", "matches no module")]
    public void Experts_together_take_what_they_can(string settings, string message) =>
        Assert.Contains(
            message,
            Refusal("mixtral", new DeltaSpec(DeltaForm.Lora, [Socket.Query], Settings: Settings(settings))),
            StringComparison.Ordinal);

    [Fact]
    public void Experts_together_have_a_rank_of_their_own()
    {
        using var model = Open("mixtral");
        using var set = DeltaSet.Fresh(model, DeltaPlan.Configure(model, new DeltaSpec(
            DeltaForm.Lora,
            [Socket.Query],
            Settings: Settings("r=4;target_parameters=[\"mlp.experts.down_proj\"];rank_pattern={\"mlp.experts.down_proj\":2}"))), 1);
        var experts = model.Projections.Where(map => map.Stack is not null).Max(map => map.Stack!.Expert) + 1;
        Assert.All(
            set.Trained.Where(item => item.Name.EndsWith("lora_A.weight", StringComparison.Ordinal)),
            item => Assert.Equal(item.Name.Contains("experts", StringComparison.Ordinal) ? 2 * experts : 4, item.Weight.Shape[0]));
        Assert.Contains(set.Trained, item => item.Name.Contains("experts", StringComparison.Ordinal));
    }

    [Fact]
    public void A_prompt_has_no_layers_and_a_form_is_named_once()
    {
        Assert.Contains("leave layers out", Refusal("llama", new DeltaSpec(DeltaForm.PrefixTuning, Layers: [0])), StringComparison.Ordinal);
        Assert.Contains(
            "which 'form' already says",
            Assert.Throws<InputException>(
                () => DeltaPlan.Check(new DeltaSpec(DeltaForm.Lora, Settings: Settings("peft_type=IA3")), "here")).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "method.layers names 3; the model has 3 layers",
            Refusal("llama", new DeltaSpec(DeltaForm.Lora, Layers: [1, 3])),
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("llama", DeltaForm.NormTuning, null, "model.layers.1.")]
    [InlineData("gpt2", DeltaForm.Bitfit, null, "transformer.h.1.")]
    [InlineData("llama", DeltaForm.Bitfit, "create_missing=true", "model.layers.1.")]
    [InlineData("bert-mlm", DeltaForm.NormTuning, null, "bert.encoder.layer.1.")]
    [InlineData("t5", DeltaForm.NormTuning, null, "coder.block.1.")]
    [InlineData("gpt2", DeltaForm.Adapter, null, "transformer.h.1.")]
    public void Layers_hold_for_norms_biases_and_maps_alike(string family, DeltaForm form, string? settings, string within)
    {
        using var model = Open(family);
        using var set = DeltaSet.Fresh(
            model, DeltaPlan.Configure(model, new DeltaSpec(form, Layers: [1], Settings: Settings(settings))), 1);
        Assert.NotEmpty(set.Trained);
        Assert.All(set.Trained, item => Assert.Contains(within, item.Name, StringComparison.Ordinal));
    }

    [Fact]
    public void A_role_that_a_family_lacks_is_refused_beside_one_that_it_has() =>
        Assert.Contains(
            "a gpt2 has none of gate",
            Refusal("gpt2", new DeltaSpec(DeltaForm.Lora, [Socket.Query, Socket.Gate])),
            StringComparison.Ordinal);

    [Fact]
    public void One_pattern_over_whole_names_is_PEFTs_regular_expression()
    {
        using var model = Open("llama");
        var configuration = DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Lora, TargetModules: [@".*layers\.[02]\..*(q|v)_proj"]));
        using var set = DeltaSet.Fresh(model, configuration, 1);
        Assert.Equal(
            [
                "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj", "model.layers.2.self_attn.q_proj",
                "model.layers.2.self_attn.v_proj",
            ],
            set.Plugged.Select(pair => pair.Target.Name));
        Assert.Contains("\"target_modules\": \".*layers", configuration.ToJson(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gpt2", "\"CAUSAL_LM\"", true)]
    [InlineData("llama", "\"CAUSAL_LM\"", false)]
    [InlineData("t5", "\"SEQ_2_SEQ_LM\"", false)]
    [InlineData("bert-mlm", "null", false)]
    [InlineData("bert-classify", "\"SEQ_CLS\"", false)]
    public void The_file_says_what_PEFT_wants_to_know_of_the_model(string family, string task, bool turned)
    {
        using var model = Open(family);
        using var plain = DeltaSet.Fresh(model, new LoraMethod(2).ToDelta(), 1);
        foreach (var json in new[] { DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Lora)).ToJson(), plain.Configuration.ToJson() })
        {
            Assert.Contains($"\"task_type\": {task}", json, StringComparison.Ordinal);
            Assert.Equal(turned, json.Contains("\"fan_in_fan_out\": true", StringComparison.Ordinal));
        }
        // PEFT's own kinds without such a setting have no biases.
        Assert.DoesNotContain("\"bias\"", DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Ia3)).ToJson(), StringComparison.Ordinal);
    }

    [Fact]
    public void Reflections_that_are_made_orthogonal_start_as_numbers_and_have_gradients()
    {
        using var model = Open("gpt2");
        using var set = DeltaSet.Fresh(
            model, DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Hra, Settings: Settings("r=4;apply_GS=true"))), 1);
        Assert.All(DeltaKinds.Logits(model), number => Assert.True(float.IsFinite(number)));
        Assert.True(double.IsFinite(DeltaKinds.Loss(model)));
    }

    [Fact]
    public void What_PEFTs_quick_PiSSA_took_off_the_base_cannot_be_found_again()
    {
        using var model = Open("llama");
        using var folder = new ScratchFolder();
        using (var set = DeltaSet.Fresh(
            model, DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Lora, Settings: Settings("r=2;init_lora_weights=pissa_niter_4"))), 1))
            set.Save(folder.Path);
        var file = folder.At("adapter_config.json");
        Assert.Contains("\"init_lora_weights\": \"pissa\"", File.ReadAllText(file), StringComparison.Ordinal);
        using (DeltaSet.Load(model, folder.Path))
        {
        }
        File.WriteAllText(file, File.ReadAllText(file).Replace("\"pissa\"", "\"pissa_niter_4\"", StringComparison.Ordinal));
        Assert.Contains(
            "depends on random numbers",
            Assert.Throws<InputException>(() => DeltaSet.Load(model, folder.Path)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_small_change_becomes_low_rank_without_the_rounding_of_the_weight()
    {
        using var model = Open("llama");
        using var set = DeltaSet.Fresh(
            model, DeltaPlan.Configure(model, new DeltaSpec(DeltaForm.Adalora, Settings: Settings("init_r=4"))), 1);
        foreach (var (name, weight) in set.Trained) weight.Assign(Samples.Normal(name, weight.Value.shape) * 1e-3);
        using var made = LowRank.Convert(set, 4, out var errors);
        Assert.All(errors.Values, error => Assert.True(error < 1e-5, $"{error}"));
    }
}
