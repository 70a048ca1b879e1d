using System.Text.Json.Nodes;
using Polymath.Tensors.Files;
using Polymath.Tests.Text;
using static TorchSharp.torch;

namespace Polymath.Tests.Cli;

/// <summary>
/// Adapters that are damaged, hostile, or wrongly described: each is refused with a plain message, and nothing is written.
/// </summary>
[Trait("kind", "invariant")]
public sealed class AdapterFaultTests : IDisposable
{
    private const string Weights = "adapter_model.safetensors",
        Settings = "adapter_config.json",
        First = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";

    private static readonly string llama = TextFixtures.At("models", "llama"), lora = TextFixtures.At("adapters", "lora");

    private readonly ScratchFolder folder = new();

    public AdapterFaultTests()
    {
        foreach (var file in new[] { Weights, Settings })
            File.Copy(Path.Combine(lora, file), folder.Write($"adapter/{file}", ""), overwrite: true);
    }

    public void Dispose() => folder.Dispose();

    private void Refused(string expected, string verb = "merge", params string[] more)
    {
        var result = CliProgram.Run(folder.Path, ["adapter", verb, llama, "--adapter", "adapter", "--output", "out", .. more]);
        Assert.True(result.Code == 2, result.All);
        Assert.Contains(expected, result.Error, StringComparison.Ordinal);
        Assert.Equal(["adapter"], Directory.GetFileSystemEntries(folder.Path).Select(Path.GetFileName));
    }

    private void Change(Action<Dictionary<string, Tensor>> change)
    {
        using var scope = NewDisposeScope();
        Dictionary<string, Tensor> content;
        using (var file = SafetensorsFile.Open(Path.Combine(lora, Weights)))
        {
            content = file.Entries.Keys.ToDictionary(name => name, name => file.Map(name).clone());
            change(content);
        }
        SafetensorsWriter.Write(folder.At("adapter", Weights), content);
    }

    private void Set(string key, string value)
    {
        var content = JsonNode.Parse(File.ReadAllText(folder.At("adapter", Settings)))!;
        content[key] = JsonNode.Parse(value);
        File.WriteAllText(folder.At("adapter", Settings), content.ToJsonString());
    }

    [Fact]
    public void A_file_that_is_cut_off()
    {
        var bytes = File.ReadAllBytes(folder.At("adapter", Weights));
        File.WriteAllBytes(folder.At("adapter", Weights), bytes[..(bytes.Length / 2)]);
        Refused(Weights);
        File.WriteAllBytes(folder.At("adapter", Weights), bytes[..5]);
        Refused(Weights);
        File.WriteAllBytes(folder.At("adapter", Weights), []);
        Refused(Weights);
    }

    [Fact]
    public void A_file_that_is_not_there()
    {
        File.Delete(folder.At("adapter", Weights));
        Refused(Weights);
        File.Delete(folder.At("adapter", Settings));
        Refused(Settings);
    }

    [Fact]
    public void A_tensor_that_is_missing_is_too_much_or_of_another_shape()
    {
        Change(content => content.Remove(First));
        Refused($"{First} [8, 64] is missing");
        Refused($"{First} [8, 64] is missing", "convert", "--r", "4");
        Refused($"{First} [8, 64] is missing", "unmerge");
        Change(content => content["base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight"] = zeros(8, 64));
        Refused("layers.9.self_attn.q_proj.lora_A.weight is in the file but not in the model");
        Change(content => content[First] = zeros(8, 63));
        Refused($"{First} has the shape [8, 63]");
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void Numbers_that_are_none(float number)
    {
        Change(content => content[First][2, 3] = number);
        Refused($"{First} holds numbers that are not finite");
    }

    [Theory]
    [InlineData("lora_magic", "3", "sets lora_magic to 3, which is not supported here")]
    [InlineData("peft_type", "\"../../LORA\"", "the kind of adapter '../../LORA'")]
    [InlineData("peft_type", "null", "has no peft_type")]
    [InlineData("r", "2147483647", "has the shape [8, 64], the configuration needs [2147483647, 64]")]
    [InlineData("r", "-1", "r is -1; a whole number from 1 is needed")]
    [InlineData("target_modules", "\"(\"", "as a regular expression over")]
    [InlineData("target_modules", "\"(((\\\\w+\\\\.?)+)+)+!\"", "as a regular expression over")]
    [InlineData("target_modules", "\"../../../etc/passwd\"", "match none of the model's projections")]
    [InlineData("rank_pattern", "{\"[\": 4}", "as a regular expression over")]
    [InlineData("rank_pattern", "{\"q_proj\": 0}", "whole numbers from 1 are needed")]
    [InlineData("rank_pattern", "[1]", "an object of names and values is needed")]
    [InlineData("bias", "[\"all\"]", "one text is needed")]
    [InlineData("modules_to_save", "{\"x\": 1}", "a list of names is needed")]
    [InlineData("modules_to_save", "[\"../../etc\", \"lm_head\"]", "lm_head")]
    public void Settings_that_are_not_understood(string key, string value, string expected)
    {
        Set(key, value);
        Refused(expected);
    }

    [Theory]
    [InlineData("BOFT", "boft_block_num", "999999", "boft_block_size", "boft_block_num is 999999")]
    [InlineData(
        "ADALORA", "rank_pattern", "{\"model.layers.0.self_attn.q_proj.lora_E\": [\"x\"]}", null, "a list of true and false is needed")]
    [InlineData("ADALORA", "rank_pattern", "[1]", null, "an object of names and values is needed")]
    public void Settings_of_other_kinds_that_would_end_in_a_fault_of_their_own(
        string type,
        string key,
        string value,
        string? zero,
        string expected)
    {
        Set("peft_type", $"\"{type}\"");
        foreach (var strange in new[]
        {
            "r", "lora_alpha", "lora_dropout", "rank_pattern", "alpha_pattern", "init_lora_weights", "bias", "use_rslora", "use_dora",
            "lora_bias", "qalora_group_size",
        })
            Set(strange, "null");
        Set(key, value);
        if (zero is not null) Set(zero, "0");
        Refused(expected);
    }

    [Theory]
    [InlineData("{\"peft_type\": \"LORA\", \"peft_type\": \"LOHA\"}")]
    [InlineData("{\"peft_type\": ")]
    [InlineData("[]")]
    [InlineData("")]
    public void Settings_that_are_no_JSON_object(string text)
    {
        File.WriteAllText(folder.At("adapter", Settings), text);
        Refused(Settings);
    }

    [Fact]
    public void A_name_of_a_base_is_never_a_path_that_is_opened()
    {
        Set("base_model_name_or_path", "\"/etc/../../no/such/model\"");
        var result = CliProgram.Run(folder.Path, "adapter", "convert", llama, "--adapter", "adapter", "--r", "8", "--output", "out");
        Assert.True(result.Code == 0, result.All);
    }

    [Fact]
    public void A_base_that_is_another_or_cannot_be_read()
    {
        var other = new string('a', 64);
        void Write(string text)
        {
            using var scope = NewDisposeScope();
            using var file = SafetensorsFile.Open(Path.Combine(lora, Weights));
            SafetensorsWriter.Write(
                folder.At("adapter", Weights),
                file.Entries.Keys.ToDictionary(name => name, file.Map),
                new Dictionary<string, string> { ["format"] = "pt", ["polymath_base"] = text });
        }
        Write($"{other}:{other}:{other}");
        Refused("it expects aaaaaaaaaaaa");
        Write("../../etc/passwd");
        Refused("is not a list of models' digests");
    }

    [Fact]
    public void Info_says_what_is_there_and_whether_it_is_all()
    {
        CliResult Info(params string[] more) => CliProgram.Run(folder.Path, ["adapter", "info", "adapter", .. more]);
        var plain = Info();
        Assert.True(plain.Code == 0, plain.All);
        Assert.Contains("q_proj", plain.Out, StringComparison.Ordinal);
        Assert.Contains("does not say on which model it was trained", plain.Out, StringComparison.Ordinal);
        Assert.Contains("complete as far as can be checked", plain.Out, StringComparison.Ordinal);
        Assert.Contains("none is unused. It can be merged.", Info("--model", llama).Out, StringComparison.Ordinal);
        Assert.Contains(First, Info("--weights").Out, StringComparison.Ordinal);
        Change(content => content.Remove(First));
        var broken = Info();
        Assert.Equal(2, broken.Code);
        Assert.Contains(
            "is not complete: other modules have parameters that these lack: model.layers.0.self_attn.q_proj.lora_A.weight",
            broken.Error,
            StringComparison.Ordinal);
    }
}
