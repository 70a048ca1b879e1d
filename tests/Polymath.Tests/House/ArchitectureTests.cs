using System.Reflection;
using Polymath.Models;

namespace Polymath.Tests.House;

/// <summary>Which project may import which, checked by the references of the built assemblies.</summary>
[Trait("kind", "house")]
public sealed class ArchitectureTests
{
    /// <summary>Each project and its allowed references.</summary>
    private static readonly Dictionary<string, string[]> Law = new()
    {
        ["Recipes"] = [],
        ["Text"] = ["Recipes"],
        ["Runs"] = ["Recipes"],
        ["Tensors"] = ["Recipes"],
        ["Models"] = ["Recipes", "Text", "Tensors"],
        ["Distributed"] = ["Recipes", "Text", "Tensors", "Models"],
        ["Tuning"] = ["Recipes", "Text", "Tensors", "Models"],
        ["Training"] = ["Recipes", "Text", "Runs", "Tensors", "Models", "Distributed", "Tuning"],
        ["Serving"] = ["Recipes", "Text", "Runs", "Tensors", "Models", "Distributed", "Tuning", "Training"],
        ["Studio"] = ["Recipes", "Text", "Runs"],
        ["Cli"] = ["Recipes", "Text", "Runs", "Tensors", "Models", "Distributed", "Tuning", "Training", "Serving", "Studio"],
    };

    private static readonly string[] NeverSeeTensors = ["Recipes", "Text", "Runs", "Studio"];

    private static IEnumerable<string> Built => Directory.GetFiles(AppContext.BaseDirectory, "Polymath.*.dll")
        .Select(file => Path.GetFileNameWithoutExtension(file)[9..]).Where(name => name != "Tests");

    private static string[] References(string project) =>
        [.. Assembly.Load("Polymath." + project).GetReferencedAssemblies().Select(name => name.Name!)];

    [Fact]
    public void Every_project_is_named_by_the_law() => Assert.Subset(Law.Keys.ToHashSet(), Built.ToHashSet());

    [Fact]
    public void A_project_refers_only_to_what_stands_to_its_right()
    {
        Assert.Contains("Cli", Built);
        foreach (var project in Built)
            Assert.Subset(
                Law[project].ToHashSet(),
                References(project).Where(name => name.StartsWith("Polymath.", StringComparison.Ordinal))
                    .Select(name => name[9..]).ToHashSet());
    }

    [Fact]
    public void Recipes_text_and_pages_never_see_tensors()
    {
        foreach (var project in Built.Where(NeverSeeTensors.Contains))
            Assert.DoesNotContain("TorchSharp", References(project));
        Assert.Contains("TorchSharp", References("Tensors"));
    }

    [Fact]
    public void No_family_knows_another_and_tuning_knows_none()
    {
        var families = typeof(LanguageModel).Assembly
            .GetTypes()
            .Where(type => type is { IsNested: false, Namespace: "Polymath.Models.Families" }
                && type.GetCustomAttribute<System.Runtime.CompilerServices.CompilerGeneratedAttribute>() is null)
            .ToList();
        Assert.Contains(families, type => type.Name == "Llama");
        foreach (var family in families)
        {
            // A comment may name the family with the same block.
            var text = string.Join('\n', File.ReadLines(Sources.At("src", "Polymath.Models", "Families", family.Name + ".cs")).Where(
                line => !line.TrimStart().StartsWith("//", StringComparison.Ordinal)));
            Assert.DoesNotContain(
                families, other => other != family && System.Text.RegularExpressions.Regex.IsMatch(text, $@"\b{other.Name}\b"));
        }
        Assert.All(Sources.Of("Polymath.Tuning"), file => Assert.DoesNotContain("Families", File.ReadAllText(file)));
    }

    [Fact]
    public void Only_the_command_line_talks_to_the_console()
    {
        foreach (var project in Built.Where(project => project != "Cli"))
        {
            Assert.DoesNotContain("System.Console", References(project));
            Assert.DoesNotContain("Spectre.Console", References(project));
        }
        Assert.Contains("System.Console", References("Cli"));
    }

    [Fact]
    public void Nothing_static_is_mutable_but_what_is_named_here()
    {
        // A lock's handle, the list of loaded files, the data that waits for the engine to return (a fault, and the last gradients), the
        // scope of the current pass, and whether it is a part of a training step.
        string[] known = ["TorchRuntime.core", "Backwards.here", "Fused.pass", "FewRows.trains"];
        var mutable = Built.SelectMany(project => Assembly.Load("Polymath." + project).GetTypes())
            .Where(type => !type.Name.Contains('<') && type.Namespace?.StartsWith("Polymath", StringComparison.Ordinal) == true
                && type.DeclaringType?.Name.Contains('<') != true)
            .SelectMany(
                type => type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            .Where(field => field is { IsInitOnly: false, IsLiteral: false } && !field.Name.Contains('<'))
            .Select(field => $"{field.DeclaringType!.Name}.{field.Name}");
        Assert.Equal([], mutable.Except(known));
    }

    [Fact]
    public void Every_test_class_says_what_kind_it_is()
    {
        string[] kinds = ["unit", "parity", "invariant", "house"];
        var classes = typeof(ArchitectureTests).Assembly.GetTypes()
            .Where(type => type.GetMethods().Any(method => method.GetCustomAttributes<FactAttribute>().Any())).ToList();
        Assert.True(classes.Count > 20);
        foreach (var type in classes)
            Assert.Contains(
                type.GetCustomAttributes<TraitAttribute>().Where(trait => trait.Name == "kind")
                    .Select(trait => trait.Value).SingleOrDefault(),
                kinds);
    }
}
