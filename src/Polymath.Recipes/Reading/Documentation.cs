using System.Text.RegularExpressions;
using System.Xml;
using System.Xml.Linq;

namespace Polymath.Recipes;

/// <summary>The comments of the settings records, from the documentation file that the compiler writes next to the assembly.</summary>
internal sealed partial class Documentation
{
    private readonly Dictionary<string, XElement> members;

    private Documentation(Dictionary<string, XElement> members) => this.members = members;

    /// <summary>Reads the file; without it there are no descriptions.</summary>
    public static Documentation Load()
    {
        var file = Path.Combine(AppContext.BaseDirectory, $"{typeof(Documentation).Assembly.GetName().Name}.xml");
        try
        {
            var members = File.Exists(file) ? XDocument.Load(file).Descendants("member") : [];
            return new Documentation(members.ToDictionary(member => (string)member.Attribute("name")!));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or XmlException)
        {
            return new Documentation([]);
        }
    }

    /// <summary>The description of a type; null when there is none.</summary>
    public string? Of(Type type) => Text(members.GetValueOrDefault($"T:{type.FullName}")?.Element("summary"));

    /// <summary>The description of a setting; null when there is none.</summary>
    public string? Of(Setting setting)
    {
        var constructor = $"M:{setting.Parameter.Member.DeclaringType!.FullName}.#ctor(";
        var member = members.FirstOrDefault(
            pair => pair.Key.StartsWith(constructor, StringComparison.Ordinal) && pair.Value.Elements("param").Any()).Value;
        return Text(member?.Elements("param").FirstOrDefault(element => (string?)element.Attribute("name") == setting.Parameter.Name));
    }

    /// <summary>The descriptions of an enumeration's choices, one after the other; null when there are none.</summary>
    public string? OfChoices(Type type)
    {
        var said = Enum.GetNames(type)
            .Select(name => (Name: name, Text: Text(members.GetValueOrDefault($"F:{type.FullName}.{name}")?.Element("summary"))));
        var text =
            string.Join(" ", said.Where(choice => choice.Text is not null).Select(choice => $"{Shape.Camel(choice.Name)}: {choice.Text}"));
        return text.Length > 0 ? text : null;
    }

    private static string? Text(XElement? element) =>
        element is null ? null : Spaces().Replace(string.Concat(element.Nodes().Select(Words)), " ").Trim();

    private static string Words(XNode node) => node switch
    {
        XText text => text.Value,
        XElement { Name.LocalName: "paramref" } reference => Shape.Camel((string?)reference.Attribute("name") ?? ""),
        XElement element when element.Attribute("cref") is { } reference => reference.Value[(reference.Value.LastIndexOf('.') + 1)..],
        XElement element => string.Concat(element.Nodes().Select(Words)),
        _ => "",
    };

    [GeneratedRegex(@"\s+", RegexOptions.CultureInvariant)]
    private static partial Regex Spaces();
}
