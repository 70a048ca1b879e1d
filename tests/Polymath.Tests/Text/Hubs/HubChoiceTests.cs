using Polymath.Recipes;
using Polymath.Text.Hubs;

namespace Polymath.Tests.Text.Hubs;

/// <summary>Addresses, settings, and the chosen files of a repository.</summary>
[Trait("kind", "unit")]
public sealed class HubChoiceTests
{
    [Theory]
    [InlineData("hf:Qwen/Qwen3-0.6B", "hf:Qwen/Qwen3-0.6B", null)]
    [InlineData("hf:gpt2", "hf:gpt2", null)]
    [InlineData("hf:gpt2@main", "hf:gpt2@main", "main")]
    [InlineData("hf:org/name@v1.0", "hf:org/name@v1.0", "v1.0")]
    [InlineData("hf:org/name@refs%2fpr%2f3", "hf:org/name@refs%2Fpr%2F3", "refs/pr/3")]
    [InlineData("modelscope:org/name@master", "modelscope:org/name@master", "master")]
    public void AModelsAddressIsRead(string text, string source, string? revision)
    {
        var address = HubAddress.ParseModel(text);
        Assert.Equal((source, revision, false), (address.Source, address.Revision, address.IsData));
        Assert.Equal(address, HubAddress.ParseModel(address.Source));
    }

    [Theory]
    [InlineData("hf:org/name", "hf:datasets/org/name", null)]
    [InlineData("hf:datasets/org/name", "hf:datasets/org/name", null)]
    [InlineData("hf:datasets/org/name@v2/data/*.parquet", "hf:datasets/org/name@v2", "data/*.parquet")]
    [InlineData("hf:org/name/a.jsonl", "hf:datasets/org/name", "a.jsonl")]
    [InlineData("hf:squad@main/x/train.json", "hf:datasets/squad@main", "x/train.json")]
    [InlineData("modelscope:org/name/**/*.csv", "modelscope:datasets/org/name", "**/*.csv")]
    public void ADataAddressIsRead(string text, string source, string? path)
    {
        var address = HubAddress.ParseData(text);
        Assert.Equal((source, path, true), (address.Source, address.Path, address.IsData));
    }

    [Theory]
    [InlineData("hf:", "not the address of a repository")]
    [InlineData("hf:a b/c", "not the address of a repository")]
    [InlineData("hf:org/name@", "cannot be a revision")]
    [InlineData("hf:org/name@a..b", "cannot be a revision")]
    [InlineData("hf:org/name@../x", "cannot be a revision")]
    [InlineData("hf:../x", "not the address of a repository")]
    [InlineData("hf:org/..", "not the address of a repository")]
    [InlineData("hf:org/a--b", "cannot name a repository")]
    [InlineData("hf:org/a..b", "cannot name a repository")]
    [InlineData("hf:datasets/org/name", "is data, but a model is expected")]
    [InlineData("hf:org/name/model.safetensors", "names files, but a whole model is expected")]
    [InlineData("modelscope:name", "has no organisation")]
    [InlineData("hf:org/name\n", "not the address of a repository")]
    public void OtherAddressesAreRefused(string text, string problem) =>
        Assert.Contains(problem, Assert.Throws<InputException>(() => HubAddress.ParseModel(text)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("hf:org/name/../x")]
    [InlineData("hf:org/name/a\\b")]
    [InlineData("hf:org/name//b")]
    public void APathOutOfTheRepositoryIsRefused(string text) =>
        Assert.Contains(
            "not a path inside the repository",
            Assert.Throws<InputException>(() => HubAddress.ParseData(text)).Message,
            StringComparison.Ordinal);

    [Fact]
    public void SettingsAreReadFromTheVariablesOfTheHubsOwnLibraries()
    {
        using var folder = new ScratchFolder();
        folder.Write("home/token", "  hf_fromFile\n");
        HubSettings Of(params (string, string)[] variables) =>
            HubSettings.FromEnvironment(read: name => variables.FirstOrDefault(pair => pair.Item1 == name).Item2);
        var plain = Of();
        Assert.Equal(
            ("https://huggingface.co/", "https://www.modelscope.cn/", false),
            (plain.HuggingFace.Endpoint.AbsoluteUri, plain.ModelScope.Endpoint.AbsoluteUri, plain.Offline));
        Assert.EndsWith(Path.Combine(".cache", "huggingface", "hub"), plain.HuggingFace.Cache, StringComparison.Ordinal);
        Assert.EndsWith(Path.Combine(".cache", "modelscope", "hub"), plain.ModelScope.Cache, StringComparison.Ordinal);
        var home = Of(("HF_HOME", folder.At("home")), ("HF_HUB_OFFLINE", "1"), ("MODELSCOPE_DOMAIN", "modelscope.ai"));
        Assert.Equal(
            (folder.At("home", "hub"), true, "https://modelscope.ai/"),
            (home.HuggingFace.Cache, home.Offline, home.ModelScope.Endpoint.AbsoluteUri));
        Assert.Equal("hf_fromFile", home.HuggingFace.Token!.Reveal());
        Assert.Equal(
            "one",
            Of(("HF_HOME", folder.At("home")), ("HF_TOKEN", "one"), ("HUGGING_FACE_HUB_TOKEN", "two")).HuggingFace.Token!.Reveal());
        Assert.Equal("two", Of(("HUGGING_FACE_HUB_TOKEN", "two")).HuggingFace.Token!.Reveal());
        Assert.Equal(folder.At("c"), Of(("HF_HOME", "/x"), ("HF_HUB_CACHE", folder.At("c"))).HuggingFace.Cache);
        Assert.Contains(
            "HF_ENDPOINT is 'ftp://x'",
            Assert.Throws<InputException>(() => Of(("HF_ENDPOINT", "ftp://x"))).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(
        "config.json tokenizer.json model.safetensors pytorch_model.bin model.gguf", "config.json tokenizer.json model.safetensors")]
    [InlineData("config.json vocab.json merges.txt pytorch_model.bin training_args.bin optimizer.pt",
        "config.json vocab.json merges.txt pytorch_model.bin")]
    [InlineData("config.json model.safetensors fp16/model.safetensors additional_chat_templates/rag.jinja qwen.tiktoken",
        "config.json model.safetensors additional_chat_templates/rag.jinja qwen.tiktoken")]
    public void AModelTakesOneFormOfItsWeights(string all, string chosen) =>
        Assert.Equal(chosen.Split(' ').Order(), Choose(HubSelection.Model, all).Order());

    [Fact]
    public void ShardsAreThoseThatTheIndexNames()
    {
        string[] all =
            ["config.json", "model.safetensors.index.json", "a.safetensors", "b.safetensors", "pytorch_model.bin", "c.safetensors"];
        Assert.Equal(["config.json", "model.safetensors.index.json"], HubSelection.Model.Choose("x", all, _ => null));
        Assert.Equal(["config.json", "model.safetensors.index.json", "a.safetensors", "b.safetensors"], HubSelection.Model.Choose(
            "x", all, _ => HubScene.Text("""{"weight_map": {"u": "./a.safetensors", "v": "b.safetensors", "w": "a.safetensors"}}""")));
        // One file goes before shards, as in transformers.
        Assert.Equal(["config.json", "model.safetensors"], HubSelection.Model.Choose("x", [.. all, "model.safetensors"], _ => null));
        Assert.Contains(
            "'../z'",
            Assert.Throws<InputException>(
                () => HubSelection.Model.Choose("x", all, _ => HubScene.Text("""{"weight_map": {"u": "../z"}}"""))).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "cannot be read",
            Assert.Throws<InputException>(() => HubSelection.Model.Choose("x", all, _ => HubScene.Text("[1"))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void AdaptersAndTokenizersTakeTheirs()
    {
        Assert.Equal(
            ["adapter_config.json", "adapter_model.safetensors"],
            Choose(HubSelection.Adapter, "adapter_config.json adapter_model.bin adapter_model.safetensors README.md"));
        Assert.Equal(
            ["adapter_config.json", "adapter_model.bin"], Choose(HubSelection.Whole, "adapter_config.json adapter_model.bin README.md"));
        Assert.Equal(["tokenizer.json"], Choose(HubSelection.Tokenizer, "tokenizer.json model.safetensors"));
        Assert.Contains(
            "Name its base model",
            Assert.Throws<InputException>(() => Choose(HubSelection.Model, "adapter_config.json adapter_model.bin")).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "no tokenizer",
            Assert.Throws<InputException>(() => Choose(HubSelection.Tokenizer, "config.json")).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void DataTakesTheOneFormatItCameIn()
    {
        Assert.Equal(
            ["data/a.parquet", "data/b.parquet"],
            Choose(HubSelection.Data(null), "README.md data/a.parquet data/b.parquet dataset_infos.json notes.txt"));
        Assert.Equal(["a.txt"], Choose(HubSelection.Data(null), "a.txt LICENSE.txt .gitattributes"));
        Assert.Contains(
            "such as x/data/*.parquet",
            Assert.Throws<InputException>(() => Choose(HubSelection.Data(null), "data/a.parquet b.jsonl")).Message,
            StringComparison.Ordinal);
        Assert.Contains(
            "no files that can be read",
            Assert.Throws<InputException>(() => Choose(HubSelection.Data(null), "a.zip")).Message,
            StringComparison.Ordinal);
        Assert.Equal(["b.jsonl"], Choose(HubSelection.Data("*.jsonl"), "data/a.jsonl b.jsonl"));
        Assert.Contains(
            "matches 'c.jsonl'",
            Assert.Throws<InputException>(() => Choose(HubSelection.Files(["b.jsonl", "c.jsonl"]), "b.jsonl")).Message,
            StringComparison.Ordinal);
    }

    private static IReadOnlyList<string> Choose(HubSelection selection, string all) => selection.Choose("x", all.Split(' '), _ => null);
}
